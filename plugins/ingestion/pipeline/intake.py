"""Which objects are files of a feed, and whether a file can be read as one. Pure: names, dates and first bytes only."""

import csv
import io
from dataclasses import dataclass, field
from datetime import date, datetime

from ingestion.pipeline.feeds import Feed

HEAD_BYTES = 64 * 1024
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
}
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


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
    """Those of the object names that belong to the feed, in order. Folder markers and other feeds' files do not."""
    return sorted(name for name in names if feed.match(name))


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
    except ValueError:
        return Rejection("invalid_date", f"the date in the name {file.name.removeprefix(feed.prefix)} does not exist")


def header(feed: Feed, file: StoredObject, head: bytes) -> list[str] | Rejection:
    """The file's column names in its own order, or why its first bytes are not those of a file of the feed.

    `head` holds at most the first HEAD_BYTES of the file. What is wrong further down is a matter of single rows.
    """
    if file.size == 0:
        return Rejection("empty", "the file has 0 bytes; a file without rows still has its header line")
    if file.size > feed.limits.bytes:
        return Rejection("too_large", f"{file.size} bytes; the feed takes files of up to {feed.limits.bytes}")
    if kind := next((kind for magic, kind in COMPRESSED.items() if head.startswith(magic)), file.content_encoding):
        return Rejection("compressed", f"the file is compressed ({kind}); deliver it as plain text")
    if head.startswith(UTF16_MARKS) or b"\x00" in head.split(b"\n", 1)[0]:
        return Rejection("encoding", "the file is not UTF-8 text (UTF-16 or binary); deliver it as UTF-8")
    names = _first_record(feed, head, whole=len(head) == file.size)
    return names if isinstance(names, Rejection) else _check_names(feed, names)


def _first_record(feed: Feed, head: bytes, whole: bool) -> list[str] | Rejection:
    # Broken characters are a matter of single rows; in a header they make an unknown name.
    text = head.decode("utf-8-sig", errors="replace")
    if "\n" not in text and not whole:
        return Rejection("no_header", f"no line ends within the first {HEAD_BYTES} bytes; is this a CSV file?")
    # The jobs take "\n" alone for the end of a line; to Python's csv a lone "\r" is one as well.
    if "\r" in text.split("\n", 1)[0].rstrip("\r"):
        return Rejection("line_ends", "the first line ends with a carriage return alone; deliver it with LF or CRLF")
    try:
        record = next(csv.reader(io.StringIO(text, newline=""), delimiter=feed.csv.delimiter, strict=True), [])
    except csv.Error as error:
        return Rejection("no_header", f"the first line is not readable as CSV: {error}")
    return [name.strip() for name in record]


def _check_names(feed: Feed, names: list[str]) -> list[str] | Rejection:
    expected = [column.name for column in feed.columns]
    required = [column.name for column in feed.columns if not column.optional]
    if not set(names) & set(expected):
        return Rejection("no_header", f"the first line names none of the columns {', '.join(expected)}")
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        return Rejection("duplicate_column", f"column named twice: {', '.join(doubled)}")
    if missing := [name for name in required if name not in names]:
        return Rejection("missing_column", f"no column {', '.join(missing)}")
    if unknown := [name or "(blank)" for name in names if name not in expected]:
        return Rejection(
            "unknown_column", f"unknown column {', '.join(unknown)}; a new one goes into the feed's YAML first"
        )
    return names
