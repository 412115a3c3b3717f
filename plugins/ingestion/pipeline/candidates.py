"""Which files a batch may take and where their bytes are now: in `source/`, or in the archive."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal

from google.cloud.storage import Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import Rejection, StoredObject, contested, file_date, loadable, within_limits
from ingestion.pipeline.left_behind import list_notes, settled
from ingestion.pipeline.manifest import REASON, first_identity
from ingestion.pipeline.run_request import Days, RunRequest

ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")  # date.fromisoformat takes other forms as well
SHOWN = 20  # so many names of what is passed over stand in the log

log = logging.getLogger(__name__)


class TooManyFilesError(ValueError):
    """More files than the run was asked to take at most. The message says which days would fit."""


@dataclass(frozen=True)
class Candidate:
    """A file to plan: where its bytes are now, and the identity and date under which it was delivered."""

    stored: StoredObject
    object: str
    generation: int
    delivered_at: datetime
    date: date | Rejection

    @property
    def was_accepted(self) -> bool:
        """Whether it comes from the archive."""
        return self.stored.name != self.object and not self.was_rejected

    @property
    def was_rejected(self) -> bool:
        """Whether it comes from `rejected/`."""
        return self.stored.name != self.object and self.stored.name.startswith("rejected/")


def waiting(bucket: Bucket, feed: Feed, request: RunRequest) -> list[Candidate]:
    """What waits in `source/`, the oldest first, as much as one batch takes."""
    return _delivered(feed, within_limits(feed, new_in_source(bucket, feed, request), request.max_files))


def of_days(bucket: Bucket, feed: Feed, days: Days, max_files: int | None) -> list[Candidate]:
    """Every file dated on one of these days: from the archive, and those still in `source/`.

    Raises TooManyFilesError: a reload that leaves files out would look like a whole one.
    """
    # In this order: another run's `archive` copies a file before it deletes it, so that one of the listings has it.
    delivered = [item for item in _delivered(feed, _in_source(bucket, feed)) if item.date in days]
    archived = _filed(bucket, feed, "archive", days)
    known = {(item.object, item.generation) for item in archived}
    found = archived + [item for item in delivered if (item.object, item.generation) not in known]
    if max_files is not None and len(found) > max_files:
        raise TooManyFilesError(_too_many(days, found, max_files))
    return found


def rejected_before(bucket: Bucket, feed: Feed, days: Days | None) -> list[Candidate]:
    """The files in `rejected/`, filed under one of these days or all, dated as the feed dates them now."""
    return [replace(item, date=_date_now(feed, item)) for item in _filed(bucket, feed, "rejected", days)]


def _date_now(feed: Feed, item: Candidate) -> date | Rejection:
    return file_date(feed, replace(item.stored, name=item.object, created=item.delivered_at))


def new_in_source(bucket: Bucket, feed: Feed, request: RunRequest) -> list[StoredObject]:
    """The files of the feed in `source/` that are for this run: all but those that others had to leave there."""
    objects = _in_source(bucket, feed)
    if not objects:
        return []
    notes = [(note.name, note.created) for note in list_notes(bucket, feed)]
    done = settled(feed, notes, try_again=request.run_type == "manual")
    return [item for item in objects if (item.name, item.generation) not in done]


def _in_source(bucket: Bucket, feed: Feed) -> list[StoredObject]:
    objects = {item.name: item for item in storage.list_objects(bucket, feed.prefix)}
    if left := contested(feed, list(objects)):
        log.warning(
            "Left where they are, as the pattern of another feed fits them too: %s. Narrow one of the patterns; "
            "`airflow ingestion feeds check` names the feeds.",
            _shown(left),
        )
    return [objects[name] for name in loadable(feed, list(objects))]


def _delivered(feed: Feed, objects: Iterable[StoredObject]) -> list[Candidate]:
    return [Candidate(item, item.name, item.generation, item.created, file_date(feed, item)) for item in objects]


def _filed(bucket: Bucket, feed: Feed, place: Literal["archive", "rejected"], days: Days | None) -> list[Candidate]:
    """What earlier batches moved to this place, of these days or all."""
    root = f"{place}/{feed.name}/"
    # "0" is the character after "/": everything below the last day's folder comes before it.
    start, end = (f"{root}{days.first}/", f"{root}{days.last}0") if days else (root, f"{place}/{feed.name}0")
    objects = storage.list_between(bucket, root, start, end)
    found: list[Candidate] = []
    not_ours: list[str] = []
    for item in objects:
        try:
            found.append(_as_delivered(feed, item, root))
        except ValueError:
            not_ours.append(item.name)
    # A console makes markers of folders; a reason lies beside each rejected file.
    not_ours = [name for name in not_ours if not name.endswith(("/", REASON))]
    if not_ours:
        log.warning("Passed over, as this pipeline did not put it there: %s", _shown(not_ours))
    return found


def _shown(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _as_delivered(feed: Feed, item: StoredObject, root: str) -> Candidate:
    """The file as it was delivered. Raises ValueError for an object that this pipeline did not put there."""
    day, _, name = item.name.removeprefix(root).partition("/")
    if "/" in name or name.endswith(REASON) or not ISO_DAY.fullmatch(day):
        raise ValueError(f"{item.name} is no file in the folder of a day")
    noted = item.metadata
    # A file laid there by other means, or rejected by an old version, has its identity in its name alone.
    name, generation = (
        (noted["object"], int(noted["generation"]))
        if {"object", "generation"} <= noted.keys()
        else first_identity(feed, item.name)
    )
    delivered_at = datetime.fromisoformat(noted["delivered-at"]) if "delivered-at" in noted else item.created
    return Candidate(item, name, generation, delivered_at, date.fromisoformat(day))


def _too_many(days: Days, found: list[Candidate], max_files: int) -> str:
    dates = sorted(item.date for item in found if isinstance(item.date, date))
    first_left_out = dates[max_files]
    fitting = [day for day in dates if day < first_left_out]
    way_out = f"{days.first} to {fitting[-1]} would fit" if fitting else f"{dates[0]} alone has more"
    return f"{days} has {len(found)} files, more than max_files {max_files}, and none was loaded: {way_out}"
