"""Which files can be read as their feed, told by their first bytes, and which columns they have."""

import gzip
from datetime import UTC, datetime

import pytest

from ingestion.pipeline.columns import BLANKS, Column
from ingestion.pipeline.feeds import Feed, Limits
from ingestion.pipeline.headers import Header, header
from ingestion.pipeline.intake import HEAD_BYTES, Rejection, StoredObject

COLUMNS = "order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp"
NAMES = COLUMNS.split(",")


def stored(size: int, encoding: str | None = None) -> StoredObject:
    created = datetime(2026, 11, 20, 12, tzinfo=UTC)
    return StoredObject("source/order_tracking_2026_11_20.csv", 1, size, created, "AAAAAA==", None, encoding)


def read(feed: Feed, content: bytes, encoding: str | None = None) -> Header | Rejection:
    """What is told of a file by its content."""
    return header(feed, stored(len(content), encoding), content[:HEAD_BYTES])


def columns_of(feed: Feed, content: bytes, encoding: str | None = None) -> list[str | None]:
    found = read(feed, content, encoding)
    assert isinstance(found, Header), found
    return found.columns


def rejection_of(feed: Feed, content: bytes, encoding: str | None = None) -> Rejection:
    found = read(feed, content, encoding)
    assert isinstance(found, Rejection), found
    return found


def changed(feed: Feed, **settings: object) -> Feed:
    """The feed with other settings, judged as its YAML would be."""
    return Feed.model_validate(feed.model_dump(exclude={"csv"}) | settings)


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
    assert columns_of(feed, content) == columns


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "empty", "0 bytes"),
        (b"\x1f\x8b\x08rest", "compressed", "gzip"),
        (b"PK\x03\x04rest", "compressed", "zip"),
        (COLUMNS.encode("utf-16"), "encoding", "UTF-16"),
        (b"1,T1,2026-11-20,,IN_TRANSIT,street,2026-11-20 10:00:00\n", "no_header", "names none of the columns"),
        (COLUMNS.replace(",", ";").encode(), "no_header", "names none of the columns"),
        (COLUMNS.upper().encode(), "no_header", "ignore_case: true"),
        (COLUMNS.replace("status", "Status").encode(), "missing_column", "Status differs in capitals alone"),
        (f"{COLUMNS},,\n".encode(), "unknown_column", "(field 8), without a name (field 9)"),
        (f"{COLUMNS}\n".replace("status", "status\u200b").encode(), "missing_column", "no column status"),
        (COLUMNS.replace("tracking_num,", "").encode(), "missing_column", "no column tracking_num"),
        (f"{COLUMNS},weight\n".encode(), "unknown_column", "unknown column weight"),
        (f"{COLUMNS},\n".encode(), "unknown_column", "unknown column without a name (field 8)"),
        (f"{COLUMNS},status\n".encode(), "duplicate_column", "column named twice: status"),
        (f"{COLUMNS}\r1,T1,,,,,\r".encode(), "line_ends", "LF or CRLF"),
        (f"{COLUMNS}\r1,T1,,,,,\r2,T2,,,,,\n".encode(), "line_ends", "LF or CRLF"),
        (b'"order_num\n', "no_header", "not readable as CSV"),
        (f'{COLUMNS},"note\n\0"\n'.encode(), "encoding", "its header has NUL bytes"),
        (f"{COLUMNS},\x1b[2J\n".encode(), "unknown_column", r"unknown column \x1b[2J"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(feed: Feed, content: bytes, code: str, says: str) -> None:
    rejection = rejection_of(feed, content)
    assert rejection.code == code
    assert says in rejection.reason


def test_carriage_returns_alone_end_no_line_of_one_line_rows_either(feed: Feed) -> None:
    one_line = changed(feed, csv={"multiline": False})
    assert rejection_of(one_line, f"{COLUMNS}\r1,T1,,,,,\r".encode()).code == "line_ends"


def test_a_file_may_lack_an_optional_column_and_no_other(feed: Feed) -> None:
    wider = feed.model_copy(update={"columns": [*feed.columns, Column(name="carrier", optional=True)]})
    old, new = f"{COLUMNS}\n".encode(), f"carrier,{COLUMNS}\n".encode()
    assert columns_of(wider, old) == NAMES
    assert columns_of(wider, new) == ["carrier", *NAMES]
    assert rejection_of(wider, b"carrier,status\n").reason.startswith("no column order_num, tracking_num")


@pytest.mark.parametrize(
    ("encoding", "code"), [("gzip", "compressed"), ("br", "compressed"), ("utf-8", None), ("aws-chunked", None)]
)
def test_a_content_encoding_is_refused_where_it_compresses(feed: Feed, encoding: str, code: str | None) -> None:
    content = f"{COLUMNS}\n".encode()
    if code is None:
        assert columns_of(feed, content, encoding) == NAMES
    else:
        assert rejection_of(feed, content, encoding).code == code


def test_a_file_over_the_limit_is_refused(feed: Feed) -> None:
    small = feed.model_copy(update={"limits": Limits(bytes=100)})
    rejection = header(small, stored(101), b"x")
    assert rejection == Rejection("too_large", "101 bytes; the feed takes files of up to 100")


def test_a_head_without_a_line_end_is_no_header(feed: Feed) -> None:
    rejection = header(feed, stored(2 * HEAD_BYTES), COLUMNS.encode() + b"," * HEAD_BYTES)
    assert isinstance(rejection, Rejection)
    assert rejection.code == "no_header"


@pytest.mark.parametrize("blank", BLANKS.replace("\n", "").replace("\r", ""))
def test_no_blank_of_unicode_is_part_of_a_name(feed: Feed, blank: str) -> None:
    assert columns_of(feed, COLUMNS.replace("status", f"{blank}status{blank}").encode()) == NAMES


def test_a_name_in_quotes_may_span_lines_only_where_rows_may(feed: Feed) -> None:
    columns = [*feed.columns[:-1], feed.columns[-1].model_copy(update={"header": "last\nupdate"})]
    content = COLUMNS.replace("last_update_timestamp", '"last\nupdate"').encode()
    assert columns_of(changed(feed, columns=columns), content) == NAMES
    one_line = changed(feed, columns=columns, csv={"multiline": False})
    assert rejection_of(one_line, content).code == "no_header"


def test_a_column_is_known_by_its_header(feed: Feed) -> None:
    columns = [*feed.columns[:-1], feed.columns[-1].model_copy(update={"header": "Größe / Last Update"})]
    content = COLUMNS.replace("last_update_timestamp", " Größe / Last Update ").encode()
    named = changed(feed, columns=columns)
    assert read(named, content) == Header(NAMES, [*NAMES[:-1], "Größe / Last Update"], 0)
    assert rejection_of(named, COLUMNS.encode()).reason == "no column Größe / Last Update"
    assert columns_of(changed(named, ignore_case=True), content.decode().upper().encode()) == NAMES


def test_unknown_columns_are_passed_over_where_the_feed_says_so(feed: Feed) -> None:
    lenient = changed(feed, unknown_columns="ignore")
    assert columns_of(lenient, f"weight,{COLUMNS},,weight\n".encode()) == [None, *NAMES, None, None]
    assert rejection_of(lenient, f"{COLUMNS},status\n".encode()).code == "duplicate_column"


@pytest.mark.parametrize("encoding", ["windows-1252", "iso-8859-15", "utf-16", "utf-16-le", "cp850", "mac_roman"])
def test_a_header_is_read_in_the_encoding_of_its_feed(feed: Feed, encoding: str) -> None:
    columns = [*feed.columns[:-1], feed.columns[-1].model_copy(update={"header": "Größe"})]
    content = COLUMNS.replace("last_update_timestamp", "Größe").encode(encoding)
    assert columns_of(changed(feed, columns=columns, csv={"encoding": encoding}), content) == NAMES


@pytest.mark.parametrize(
    ("csv", "content", "record"),
    [
        ({"delimiter": ";"}, COLUMNS.replace(",", ";"), 0),
        ({"delimiter": "\t"}, COLUMNS.replace(",", "\t"), 0),
        ({"delimiter": "|", "quote": "'"}, COLUMNS.replace(",", "|").replace("status", "'status'"), 0),
        ({"quote": ""}, COLUMNS, 0),
        ({"skip_lines": 3}, f'Report,"of today"\n\n \n{COLUMNS}', 1),
        ({"skip_lines": 2}, f"#Report\n#\n{COLUMNS}", 2),
        ({"skip_lines": 1, "ignore_lines": ["#"]}, f"Report\n# a comment\n#\n{COLUMNS}", 1),
        ({"ignore_lines": ["#"]}, f'"# a comment"\n{COLUMNS}', 0),
        ({"ignore_lines": ["#"]}, f"# a comment\n\n \r\n# another\n\n{COLUMNS}", 0),
    ],
)
def test_a_header_is_found_where_the_feed_says(feed: Feed, csv: dict[str, object], content: str, record: int) -> None:
    found = read(changed(feed, csv=csv), content.encode())
    assert found == Header(NAMES, NAMES, record)


def test_a_quote_may_be_escaped_as_the_feed_says(feed: Feed) -> None:
    columns = [*feed.columns[:-1], feed.columns[-1].model_copy(update={"header": 'the "last"'})]
    with_backslash = COLUMNS.replace("last_update_timestamp", r'"the \"last\""').encode()
    assert columns_of(changed(feed, columns=columns, csv={"escape": "\\"}), with_backslash) == NAMES
    doubled = COLUMNS.replace("last_update_timestamp", '"the ""last"""').encode()
    assert columns_of(changed(feed, columns=columns), doubled) == NAMES


def test_a_line_above_the_header_must_end_where_it_ends(feed: Feed) -> None:
    skipping = changed(feed, csv={"skip_lines": 2})
    rejection = rejection_of(skipping, f'"Report\nof today"\n{COLUMNS}'.encode())
    assert rejection.code == "no_header"
    assert "a line above the header" in rejection.reason


def test_without_a_header_the_columns_come_in_order(feed: Feed) -> None:
    headless = changed(feed, csv={"header": False})
    assert read(headless, b"O1,T1,,,,,\n") == Header(NAMES, [], -1)
    skipping = changed(feed, csv={"header": False, "skip_lines": 2})
    assert read(skipping, b"Report\n\nO1,T1,,,,,\n") == Header(NAMES, [], 0)


def test_a_compressed_file_is_read_where_the_feed_says_so(feed: Feed) -> None:
    zipped = changed(feed, compression="gzip")
    rows = "".join(f"O{n},T{n},,,,street {n * n},\n" for n in range(50_000))
    assert columns_of(zipped, gzip.compress(f"{COLUMNS}\n{rows}".encode())) == NAMES
    assert columns_of(zipped, gzip.compress(COLUMNS.encode())) == NAMES
    rejection = rejection_of(zipped, f"{COLUMNS}\n".encode())
    assert rejection.code == "compressed"
    assert "this one is not" in rejection.reason


def test_a_reason_is_short_whatever_the_header(feed: Feed) -> None:
    """It is sent to people, and what it quotes is the producer's."""
    many = ",".join(f"column_{n}" for n in range(5000))
    assert len(rejection_of(feed, f"{COLUMNS},{many}\n".encode()).reason) < 1100
