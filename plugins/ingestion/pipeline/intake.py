"""Which objects are files of a feed, and which of them one batch takes. Pure: names, dates and sizes only."""

from dataclasses import dataclass, field
from datetime import date, datetime

from ingestion.pipeline.feeds import Feed

HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class StoredObject:
    """An object of the bucket at one generation, as a listing shows it."""

    name: str
    generation: int
    size: int
    created: datetime
    crc32c: str
    md5: str | None
    content_encoding: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejection:
    """Why a file cannot be read as its feed: a stable code for programs, a sentence for its producer."""

    code: str
    reason: str


def loadable(feed: Feed, names: list[str]) -> list[str]:
    """Those of the object names that belong to the feed, in order.

    Folder markers and other feeds' files do not, nor what another feed's pattern fits as well.
    """
    return sorted(name for name in names if feed.match(name) and not feed.is_contested(name))


def contested(feed: Feed, names: list[str]) -> list[str]:
    """Names that would be the feed's if no other feed's pattern fitted them as well, in order."""
    return sorted(name for name in names if feed.match(name) and feed.is_contested(name))


def unrecognised(feeds: list[Feed], names: list[str]) -> list[str]:
    """Names under a feed's prefix that belong to none of the feeds. They are reported, never moved."""
    prefixes = tuple({feed.prefix for feed in feeds})
    return sorted(
        name
        for name in names
        if name.startswith(prefixes) and not name.endswith("/") and not any(feed.match(name) for feed in feeds)
    )


def within_limits(feed: Feed, files: list[StoredObject], max_files: int | None = None) -> list[StoredObject]:
    """The oldest files that fit into one batch, at least one. What is left over waits for the next run."""
    most = max_files or feed.limits.files
    taken: list[StoredObject] = []
    total = 0
    for file in sorted(files, key=lambda item: (item.generation, item.name)):
        total += file.size
        if taken and (len(taken) == most or total > feed.limits.bytes):
            break
        taken.append(file)
    return taken


def file_date(feed: Feed, file: StoredObject) -> date | Rejection:
    """The date a file is filed under, or the rejection of a name whose date does not exist."""
    try:
        return feed.file_date(file.name, file.created)
    except ValueError as error:
        name = file.name.removeprefix(feed.prefix)
        return Rejection("invalid_date", f"the date in the name {name} does not exist: {error}")
