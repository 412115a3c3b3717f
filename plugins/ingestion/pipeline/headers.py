"""Whether a file can be read as one of its feed, told by its first bytes, and which columns it has. Pure."""

import codecs
import csv
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any

from ingestion.pipeline import file_names, gzip_files
from ingestion.pipeline.columns import BLANKS
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import HEAD_BYTES, Rejection, StoredObject

COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
}
# Of a stored object; others, aws-chunked say, tell how it was uploaded.
COMPRESSING_ENCODINGS = ("gzip", "x-gzip", "compress", "deflate", "br", "zstd")
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
NO_HEADER = -1
LONGEST_REASON = 1000


@dataclass(frozen=True)
class Header:
    """The columns of a file in its own order.

    `columns`: their names in the tables, None for one that is passed over. `texts`: what the header says, empty without
    one. `record`: the header's place among the records of the file, blank and ignored lines not counted; NO_HEADER
    without one, so that in either case the first row is the record after it.
    """

    columns: list[str | None]
    texts: list[str]
    record: int


class _UnfitError(ValueError):
    """The file cannot be read as one of its feed."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        # It quotes the file, whose header may be 64 KB of anything, and is logged and sent to people.
        reason = file_names.shown(reason)
        self.rejection = Rejection(code, reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}...")


def header(feed: Feed, file: StoredObject, head: bytes) -> Header | Rejection:
    """The columns of the file, or why its first bytes are not those of a file of the feed.

    `head` holds at most the first HEAD_BYTES of the file. What is wrong further down is a matter of single rows.
    """
    try:
        text, is_whole = _text(feed, file, head)
        lines = _lines(text, is_whole)
        skipped = [line for line in lines[: feed.csv.skip_lines] if _is_record(feed, line)]
        for line in skipped:
            _check_skipped(feed, line)
        if not feed.csv.header:
            return Header([column.name for column in feed.columns], [], len(skipped) + NO_HEADER)
        rest = lines[feed.csv.skip_lines :]
        if feed.csv.ignore_lines:
            rest = list(dropwhile(lambda line: not _is_record(feed, line), rest))
        texts = _first_record(feed, rest)
        return Header(_columns(feed, texts), texts, len(skipped))
    except _UnfitError as error:
        return error.rejection


def _text(feed: Feed, file: StoredObject, head: bytes) -> tuple[str, bool]:
    """The first characters of the file, and whether they are all it has."""
    if file.size == 0:
        raise _UnfitError("empty", "the file has 0 bytes; a file without rows still has its header line")
    if file.size > feed.limits.bytes:
        raise _UnfitError("too_large", f"{file.size} bytes; the feed takes files of up to {feed.limits.bytes}")
    encoding = (file.content_encoding or "").lower()
    if encoding in COMPRESSING_ENCODINGS:
        raise _UnfitError("compressed", f"it is stored with Content-Encoding: {encoding}; deliver it without")
    is_whole = len(head) == file.size
    if feed.compression == "gzip":
        try:
            head, is_whole = gzip_files.unpacked_head(head, is_whole, HEAD_BYTES)
        except gzip_files.DamagedError as error:
            raise _UnfitError("compressed", f"the feed's files are gzip, and this one is not: {error}") from error
    elif kind := next((kind for magic, kind in COMPRESSED.items() if head.startswith(magic)), None):
        raise _UnfitError("compressed", f"the file is compressed ({kind}); deliver it as plain text")
    # Broken characters are a matter of single rows; in a header they make an unknown name.
    text = head.decode(_codec(feed, head), errors="replace")
    if "\0" in text.split("\n", 1)[0]:
        raise _UnfitError(
            "encoding", f"the file is binary, or not in {feed.csv.encoding}: its first line has NUL bytes"
        )
    return text, is_whole


def _codec(feed: Feed, head: bytes) -> str:
    encoding = feed.csv.encoding
    if head.startswith(UTF_16_MARKS) and not encoding.startswith("utf-16"):
        raise _UnfitError("encoding", f"the file is in UTF-16, not in {encoding}")
    return "utf-8-sig" if encoding == "utf-8" else encoding


def _lines(text: str, is_whole: bool) -> list[str]:
    """Its lines, each with its line end; the last of a longer file may be a part of one."""
    if "\n" not in text and not is_whole:
        raise _UnfitError("no_header", f"no line ends within the first {HEAD_BYTES} bytes; is this a CSV file?")
    # The jobs take "\n" alone for the end of a line; to Python's csv a lone "\r" is one as well.
    if "\r" in text.split("\n", 1)[0].rstrip("\r"):
        raise _UnfitError("line_ends", "the first line ends with a carriage return alone; deliver it with LF or CRLF")
    return [f"{line}\n" for line in text.split("\n")]


def _is_record(feed: Feed, line: str) -> bool:
    """Whether the jobs see a record in the line: one of blanks is none, and one of delimiters is, be they blanks."""
    return bool(line.strip(BLANKS.replace(feed.csv.delimiter, ""))) and not _is_ignored(feed, line)


def _is_ignored(feed: Feed, line: str) -> bool:
    return line.removeprefix(feed.csv.quote).startswith(tuple(feed.csv.ignore_lines))


def _check_skipped(feed: Feed, line: str) -> None:
    try:
        list(csv.reader([line], strict=True, **_dialect(feed)))
    except csv.Error as error:
        raise _UnfitError("no_header", f"a line above the header is not readable as CSV: {error}") from error


def _first_record(feed: Feed, lines: list[str]) -> list[str]:
    try:
        record = next(csv.reader(lines if feed.csv.multiline else lines[:1], strict=True, **_dialect(feed)), [])
    except csv.Error as error:
        raise _UnfitError("no_header", f"the header is not readable as CSV: {error}") from error
    if any("\0" in name for name in record):
        raise _UnfitError("encoding", "its header has NUL bytes")
    return [name.strip(BLANKS) for name in record]


def _dialect(feed: Feed) -> dict[str, Any]:
    if not feed.csv.quote:
        return {"delimiter": feed.csv.delimiter, "quoting": csv.QUOTE_NONE}
    escape = None if feed.csv.escape in (None, feed.csv.quote) else feed.csv.escape
    return {
        "delimiter": feed.csv.delimiter,
        "quotechar": feed.csv.quote,
        "escapechar": escape,
        "doublequote": escape is None,
    }


def _columns(feed: Feed, texts: list[str]) -> list[str | None]:
    """The columns that these texts of a header name."""
    by_header = {feed.folded(column.text_in_header): column for column in feed.columns}
    found = [by_header.get(feed.folded(text)) for text in texts]
    names = [column.name if column else None for column in found]
    expected = [column.text_in_header for column in feed.columns]
    if not any(names):
        reason = f"the header {_shown(texts)} names none of the columns {', '.join(expected)}{_hint(feed, texts)}"
        raise _UnfitError("no_header", reason)
    known = [column.text_in_header for column in found if column]
    if doubled := sorted({text for text in known if known.count(text) > 1}):
        raise _UnfitError("duplicate_column", f"column named twice: {', '.join(doubled)}")
    required = [column for column in feed.columns if not column.optional]
    if missing := [column.text_in_header for column in required if column.name not in names]:
        raise _UnfitError("missing_column", f"no column {', '.join(missing)}{_hint(feed, texts)}")
    unknown = [text or f"without a name (field {n})" for n, text in enumerate(texts, 1) if names[n - 1] is None]
    if unknown and feed.unknown_columns == "reject":
        raise _UnfitError(
            "unknown_column",
            f"unknown column {', '.join(unknown)}; add it to the feed's YAML, or say unknown_columns: ignore there",
        )
    return names


def _hint(feed: Feed, texts: list[str]) -> str:
    """What would help a header that differs in capitals."""
    exact = {column.text_in_header for column in feed.columns}
    folded = {text.lower() for text in exact}
    others = [text for text in texts if text not in exact and text.lower() in folded and not feed.ignore_case]
    return f"; {', '.join(others)} differs in capitals alone: ignore_case: true in the feed's YAML" if others else ""


def _shown(texts: list[str]) -> str:
    line = ",".join(texts)
    return repr(line if len(line) <= 200 else f"{line[:200]}...")
