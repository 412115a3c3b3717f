"""Which files can be read as their feed, told by their first bytes."""

from datetime import UTC, date, datetime

import pytest

from ingestion.pipeline.feeds import Column, Csv, Feed, Limits
from ingestion.pipeline.intake import (
    HEAD_BYTES,
    Rejection,
    StoredObject,
    file_date,
    header,
    unrecognised,
    within_limits,
)

COLUMNS = "order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp"
NAMES = COLUMNS.split(",")
NAME = "source/order_tracking_2026_11_20.csv"


def stored(size: int, generation: int = 1, name: str = NAME, encoding: str | None = None) -> StoredObject:
    created = datetime(2026, 11, 20, 12, tzinfo=UTC)
    return StoredObject(name, generation, size, created, "AAAAAA==", None, encoding)


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (f"{COLUMNS}\n1,T1,,,,,\n".encode(), NAMES),
        (COLUMNS.encode(), NAMES),
        (f"\ufeff{COLUMNS}\r\n".encode(), NAMES),
        (f"{','.join(reversed(NAMES))}\n".encode(), NAMES[::-1]),
        (f'"{COLUMNS.replace(",", chr(34) + "," + chr(34))}"\n'.encode(), NAMES),
        (f"{COLUMNS.replace(',', ' , ')}\n".encode(), NAMES),
        (f"{COLUMNS}\n1,T1,,,,".encode() + b"\xff\n", NAMES),
    ],
    ids=["plain", "header only", "BOM and CRLF", "other order", "quoted", "blanks around", "broken byte in a row"],
)
def test_a_header_is_read_in_the_files_own_order(feed: Feed, content: bytes, columns: list[str]) -> None:
    assert header(feed, stored(len(content)), content) == columns


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "empty", "0 bytes"),
        (b"\x1f\x8b\x08rest", "compressed", "gzip"),
        (b"PK\x03\x04rest", "compressed", "zip"),
        (COLUMNS.encode("utf-16"), "encoding", "UTF-16"),
        (b"1,T1,2026-11-20,,IN_TRANSIT,street,2026-11-20 10:00:00\n", "no_header", "names none of the columns"),
        (COLUMNS.replace(",", ";").encode(), "no_header", "names none of the columns"),
        (COLUMNS.replace("tracking_num,", "").encode(), "missing_column", "no column tracking_num"),
        (f"{COLUMNS},weight\n".encode(), "unknown_column", "unknown column weight"),
        (f"{COLUMNS},\n".encode(), "unknown_column", "unknown column (blank)"),
        (f"{COLUMNS},status\n".encode(), "duplicate_column", "column named twice: status"),
        (f"{COLUMNS}\r1,T1,,,,,\r".encode(), "line_ends", "LF or CRLF"),
        (f"{COLUMNS}\r1,T1,,,,,\r2,T2,,,,,\n".encode(), "line_ends", "LF or CRLF"),
        (b'"order_num\n', "no_header", "not readable as CSV"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(feed: Feed, content: bytes, code: str, says: str) -> None:
    rejection = header(feed, stored(len(content)), content)
    assert isinstance(rejection, Rejection)
    assert rejection.code == code
    assert says in rejection.reason


def test_carriage_returns_alone_end_no_line_of_one_line_rows_either(feed: Feed) -> None:
    one_line = feed.model_copy(update={"csv": Csv(multiline=False)})
    content = f"{COLUMNS}\r1,T1,,,,,\r".encode()
    rejection = header(one_line, stored(len(content)), content)
    assert isinstance(rejection, Rejection)
    assert rejection.code == "line_ends"


def test_a_file_may_lack_an_optional_column_and_no_other(feed: Feed) -> None:
    wider = feed.model_copy(update={"columns": [*feed.columns, Column(name="carrier", optional=True)]})
    old, new = f"{COLUMNS}\n".encode(), f"carrier,{COLUMNS}\n".encode()
    assert header(wider, stored(len(old)), old) == NAMES
    assert header(wider, stored(len(new)), new) == ["carrier", *NAMES]
    lacking = header(wider, stored(100), b"carrier,status\n")
    assert isinstance(lacking, Rejection)
    assert lacking.reason.startswith("no column order_num, tracking_num")


def test_a_file_stored_compressed_is_refused(feed: Feed) -> None:
    content = f"{COLUMNS}\n".encode()
    rejection = header(feed, stored(len(content), encoding="gzip"), content)
    assert rejection == Rejection("compressed", "the file is compressed (gzip); deliver it as plain text")


def test_a_file_over_the_limit_is_refused(feed: Feed) -> None:
    small = feed.model_copy(update={"limits": Limits(bytes=100)})
    rejection = header(small, stored(101), b"x")
    assert rejection == Rejection("too_large", "101 bytes; the feed takes files of up to 100")


def test_a_head_without_a_line_end_is_no_header(feed: Feed) -> None:
    rejection = header(feed, stored(2 * HEAD_BYTES), COLUMNS.encode() + b"," * HEAD_BYTES)
    assert isinstance(rejection, Rejection)
    assert rejection.code == "no_header"


def test_an_impossible_date_in_the_name_is_a_rejection(feed: Feed) -> None:
    wrong = file_date(feed, stored(1, name="source/order_tracking_2026_13_01.csv"))
    assert wrong == Rejection("invalid_date", "the date in the name order_tracking_2026_13_01.csv does not exist")
    assert file_date(feed, stored(1)) == date(2026, 11, 20)


def test_a_batch_takes_the_oldest_files_that_fit(feed: Feed) -> None:
    files = [stored(60, generation=3), stored(30, generation=1), stored(20, generation=2)]
    by_bytes = feed.model_copy(update={"limits": Limits(bytes=60)})
    by_number = feed.model_copy(update={"limits": Limits(files=1)})
    assert [file.generation for file in within_limits(by_bytes, files)] == [1, 2]
    assert [file.generation for file in within_limits(by_number, files)] == [1]
    assert [file.generation for file in within_limits(feed, files)] == [1, 2, 3]


def test_a_batch_takes_at_least_one_file(feed: Feed) -> None:
    tight = feed.model_copy(update={"limits": Limits(bytes=10)})
    assert len(within_limits(tight, [stored(60), stored(60, generation=2)])) == 1


def test_unrecognised_names_are_those_of_no_feed(feed: Feed) -> None:
    other = feed.model_copy(update={"pattern": r"other_.*\.csv"})
    names = ["source/", NAME, "source/other_1.csv", "source/readme.txt", "source/deep/x.csv", "archive/x.csv"]
    assert unrecognised([feed, other], names) == ["source/deep/x.csv", "source/readme.txt"]
