"""What no run would ever tell: objects that nothing loads, and files that did not come. Told by listings of the bucket.

What was told is kept in the bucket, so that a person hears of each thing once, and once more when it is over.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from google.api_core.exceptions import NotFound
from google.cloud.storage import Bucket
from pydantic import BaseModel

from ingestion.pipeline import storage
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.file_names import shown
from ingestion.pipeline.intake import StoredObject, file_date, loadable
from ingestion.pipeline.left_behind import identity_of, is_refused, list_notes

# After so many days nobody needs to hear that a missing file has come after all.
REMEMBERED_DAYS = 7
# Kinds of keys that more than one function knows.
_UNRECOGNISED, _WAITING, _MISSING = "unrecognised", "waiting", "missing"

# What is told, by a key that is the same as long as it lasts.
Silences = dict[str, str]


class Told(BaseModel):
    """What people have been told of and that is not over, and what is so for the first look."""

    told: Silences = {}
    suspected: Silences = {}


def told_name(dag_prefix: str) -> str:
    """The object of each bucket that holds what its watch has told, of environments that share one each its own."""
    return f"batches/{dag_prefix}ingestion_watch.json"


def read_told(bucket: Bucket, dag_prefix: str = "") -> Told:
    """What was told and suspected before."""
    try:
        return Told.model_validate_json(storage.read_text(bucket, told_name(dag_prefix)))
    except NotFound:
        return Told()


def write_told(bucket: Bucket, told: Told, dag_prefix: str = "") -> None:
    """Remember it."""
    storage.write_json(bucket, told_name(dag_prefix), told.model_dump())


def silences(
    bucket: Bucket,
    feeds: Iterable[Feed],
    patience: timedelta,
    now: datetime,
    told: Silences,
    dag_prefix: str = "",
) -> Silences:
    """What there is to tell now. `feeds`: all that are delivered to this bucket.

    `patience`: how long an object may lie in a prefix before it is told.
    """
    feeds = list(feeds)
    objects = {item.name: item for prefix in {f.prefix for f in feeds} for item in storage.list_below(bucket, prefix)}
    old = [item for item in objects.values() if item.created <= now - patience]
    found = unrecognised(bucket.name, feeds, old)
    for feed in feeds:
        found |= _waiting(bucket, feed, old, dag_prefix)
        found |= _missing(bucket, feed, objects, now, told)
    return found


def concerned(key: str, feeds: Iterable[Feed]) -> list[Feed]:
    """The feeds that a thing told is about, by its key: of an unrecognised object all under whose prefix it lies."""
    kind, _, rest = key.partition(" ")
    if kind == _UNRECOGNISED:
        return [feed for feed in feeds if rest.startswith(feed.prefix)]
    if kind == _WAITING:
        return [feed for feed in feeds if feed.match(rest.rpartition(" ")[0])]
    return [feed for feed in feeds if feed.name == rest.partition(" ")[0]]


def unrecognised(bucket: str, feeds: Iterable[Feed], objects: Iterable[StoredObject]) -> Silences:
    """Objects under a feed's prefix that no feed takes: misspelt, or in a folder, or fitting the patterns of two."""
    found = {}
    for item in objects:
        is_folder_marker = item.size == 0 and item.name.endswith("/")
        if is_folder_marker or any(loadable(feed, [item.name]) for feed in feeds):
            continue
        contested = [feed.name for feed in feeds if feed.match(item.name)]
        why = f"fits the patterns of {', '.join(contested)}" if contested else "has a name that is none of any feed"
        found[f"{_UNRECOGNISED} {item.name}"] = (
            f"gs://{bucket}/{shown(item.name)}, delivered {_time(item.created)}, {why}: nothing loads it. "
            "Deliver it under a right name and delete this one, or mend the feed's YAML."
        )
    return found


def waiting_files(bucket: Bucket, feed: Feed) -> str:
    """How many files of the feed are in its prefix, in words."""
    files = [item for item in storage.list_objects(bucket, feed.prefix) if loadable(feed, [item.name])]
    if not files:
        return f"No file waits in gs://{bucket.name}/{feed.prefix} now."
    oldest = min(item.created for item in files)
    return f"{len(files)} file(s) wait in gs://{bucket.name}/{feed.prefix}, the oldest since {_time(oldest)}."


def _waiting(bucket: Bucket, feed: Feed, objects: Iterable[StoredObject], dag_prefix: str) -> Silences:
    """Files of the feed that are not archived yet, but for those of which people were told when they were left."""
    files = {item.name: item for item in objects if loadable(feed, [item.name])}
    if not files:
        return {}
    left = {identity_of(feed, note.name) for note in list_notes(bucket, feed) if not is_refused(note.name)}
    return {
        f"{_WAITING} {item.name} {item.generation}": (
            f"gs://{bucket.name}/{item.name}, delivered {_time(item.created)}, is not loaded yet: see the runs of "
            f"{dag_prefix}{feed.name}, which is paused, failing or behind, or has refused it."
        )
        for item in files.values()
        if (item.name, item.generation) not in left
    }


def _missing(
    bucket: Bucket, feed: Feed, objects: Mapping[str, StoredObject], now: datetime, told: Silences
) -> Silences:
    if feed.expected_by is None:
        return {}
    found = {}
    for day in days_to_check(feed, now, told):
        if not _has_come(bucket, feed, objects.values(), day):
            found[f"{_MISSING} {feed.name} {day}"] = (
                f"No file of {day} has come for feed {feed.name}: it was expected in gs://{bucket.name}/{feed.prefix} "
                f"by {feed.due(day):%Y-%m-%d %H:%M %Z}."
            )
    return found


def days_to_check(feed: Feed, now: datetime, told: Silences) -> list[date]:
    """The newest day whose file is due, and those that were told missing and are not forgotten."""
    newest = feed.newest_day_due(now)
    mine = f"{_MISSING} {feed.name} "
    days = {date.fromisoformat(key.removeprefix(mine)) for key in told if key.startswith(mine)}
    return sorted(day for day in {newest, *days} if feed.is_expected(day))


def is_forgotten(key: str, now: datetime) -> bool:
    """Whether it is about a missing file of long ago, which is not asked for any more."""
    kind, *_, last = key.split(" ")
    return kind == _MISSING and now.date() - date.fromisoformat(last) > timedelta(days=REMEMBERED_DAYS)


def _has_come(bucket: Bucket, feed: Feed, objects: Iterable[StoredObject], day: date) -> bool:
    delivered = (item for item in objects if loadable(feed, [item.name]))
    return (
        any(file_date(feed, item) == day for item in delivered)
        or bool(storage.list_objects(bucket, f"archive/{feed.name}/{day}/"))
        or bool(storage.list_objects(bucket, f"rejected/{feed.name}/{day}/"))
    )


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
