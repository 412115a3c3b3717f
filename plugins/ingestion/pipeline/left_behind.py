"""Files that stay in `source/` though a run has dealt with them: a note in the bucket for each.

Without a note every look into `source/` would find such a file as if it had just come, and start run after run for it.
The name of a note carries all that such a look needs, so that it takes one more listing and no other request.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

from google.cloud.storage import Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import StoredObject
from ingestion.pipeline.manifest import first_identity, name_with_generation

# moved: its copy is in `archive/` or `rejected/`, only its delete was refused. unreadable: nothing of it was read.
Kind = Literal["moved", "unreadable"]
Identity = tuple[str, int]
# After this time an unreadable file starts a run again: whoever was told may have mended it.
TRY_AGAIN_AFTER = timedelta(hours=1)


def notes_prefix(feed: Feed) -> str:
    """Where the notes of a feed lie."""
    return f"batches/{feed.name}/left/"


def write_note(bucket: Bucket, feed: Feed, kind: Kind, identity: Identity, reason: str, copy: str = "") -> None:
    """Note that this file stays; for one that was moved, where its copy is."""
    name = f"{notes_prefix(feed)}{name_with_generation(feed, *identity)}.{kind}.json"
    content: dict[str, object] = {"object": identity[0], "generation": identity[1], "reason": reason, "copy": copy}
    storage.write_json(bucket, name, content, {"copy": copy})


def list_notes(bucket: Bucket, feed: Feed) -> list[StoredObject]:
    """All notes of a feed."""
    return storage.list_objects(bucket, notes_prefix(feed))


def settled(feed: Feed, notes: Iterable[tuple[str, datetime]], *, try_again: bool) -> set[Identity]:
    """The files that need no run, by name and time of each note.

    `try_again`: unreadable ones are tried now, as a run by hand does, and not only when their note is old.
    """
    fresh = datetime.now(UTC) - TRY_AGAIN_AFTER
    stays = [name for name, at in notes if is_moved(name) or (at > fresh and not try_again)]
    return {identity_of(feed, name) for name in stays}


def is_moved(note: str) -> bool:
    """Whether a note is about a file whose copy is in its place."""
    return note.endswith(".moved.json")


def identity_of(feed: Feed, note: str) -> Identity:
    """The file that a note is about."""
    return first_identity(feed, note.rsplit(".", 2)[0])
