"""Files that stay in `source/` though a run has dealt with them: a note in the bucket for each.

Without a note every look into `source/` would find such a file as if it had just come, and start run after run for it.
The name of a note carries all that such a look needs, so that it takes one more listing and no other request.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from google.cloud.storage import Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import StoredObject
from ingestion.pipeline.manifest import first_identity, name_with_generation

# Kinds of notes. moved: its copy is in `archive/` or `rejected/`, only its delete was refused. unreadable: nothing of
# it was read. refused: its job says that no later try of it would do.
MOVED, UNREADABLE, REFUSED = "moved", "unreadable", "refused"
NOTES = "left"  # their folder, beside those of the batches
Identity = tuple[str, int]
# After this time an unreadable file starts a run again: whoever was told may have mended it.
TRY_AGAIN_AFTER = timedelta(hours=1)


def notes_prefix(feed: Feed) -> str:
    """Where the notes of a feed lie."""
    return f"batches/{feed.name}/{NOTES}/"


def write_note(bucket: Bucket, feed: Feed, kind: str, identity: Identity, reason: str, copy: str = "") -> None:
    """Note that this file stays; for one that was moved, where its copy is."""
    name = f"{notes_prefix(feed)}{name_with_generation(feed, *identity)}.{kind}.json"
    content: dict[str, object] = {"object": identity[0], "generation": identity[1], "reason": reason, "copy": copy}
    storage.write_json(bucket, name, content, {"copy": copy})


def refused_now(feed: Feed) -> str:
    """The kind of a note on a file that is refused as long as the feed is defined as it is."""
    return f"{REFUSED}-{hashlib.sha256(feed.definition.encode()).hexdigest()[:8]}"


def list_notes(bucket: Bucket, feed: Feed) -> list[StoredObject]:
    """All notes of a feed."""
    return storage.list_objects(bucket, notes_prefix(feed))


def settled(feed: Feed, notes: Iterable[tuple[str, datetime]], *, try_again: bool) -> set[Identity]:
    """The files that need no run, by name and time of each note.

    `try_again`: all that were not moved are tried now, as a run by hand does, and not only when the note of an
    unreadable one is old, or the feed of a refused one has changed.
    """
    fresh = datetime.now(UTC) - TRY_AGAIN_AFTER
    refused = refused_now(feed)

    def stays(kind: str, at: datetime) -> bool:
        return kind == MOVED or (not try_again and (kind == refused or (kind == UNREADABLE and at > fresh)))

    return {identity_of(feed, name) for name, at in notes if stays(kind_of(name), at)}


def kind_of(note: str) -> str:
    """The kind in the name of a note."""
    return note.rsplit(".", 2)[1]


def is_moved(note: str) -> bool:
    """Whether a note is about a file whose copy is in its place."""
    return kind_of(note) == MOVED


def is_refused(note: str) -> bool:
    """Whether a note is about a file that a job has refused, for the feed of now or an earlier one."""
    return kind_of(note).startswith(REFUSED)


def identity_of(feed: Feed, note: str) -> Identity:
    """The file that a note is about."""
    return first_identity(feed, note.rsplit(".", 2)[0])


def leave_refused(bucket: Bucket, feed: Feed, files: Iterable[Identity], reason: str) -> list[str]:
    """Note that no run is to try these files again by itself; returns the names of those that are in `source/`.

    They are tried when the feed is changed, by a run by hand, and once another batch of the feed was merged, for then
    whatever was wrong with a table is mended.
    """
    there = {(item.name, item.generation) for item in storage.list_objects(bucket, feed.prefix)}
    left = [identity for identity in files if identity in there]
    for identity in left:
        write_note(bucket, feed, refused_now(feed), identity, reason)
    return [name for name, _ in left]
