"""What `make show` prints of rows: inside 100 columns, complete, and data never taken for markup."""

import io
from datetime import UTC, date, datetime

from rich.console import Console

from local import show

ROW = {
    "order_num": "ORD-1001",
    "tracking_num": "TRK-0001",
    "pck_recieved_date": date(2026, 8, 30),
    "package_deliver_date": None,
    "status": "Out for Delivery",
    "address": "77 Park Avenue [rear], Hull",
    "last_update_timestamp": datetime(2026, 9, 2, 10, 5, tzinfo=UTC),
    "_delivered_at": datetime(2026, 9, 2, 10, 14, 58, tzinfo=UTC),
    "_source_file": "source/order_tracking_2026_09_02.csv",
    "_generation": 1,
    "_record": 7,
}


def terminal() -> Console:
    return Console(file=io.StringIO(), width=100)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_row_of_the_target_fits_and_says_where_it_is_from() -> None:
    console = terminal()
    show.show_target(console, "order_tracking", [ROW], 1, limit=20)
    text = text_of(console)
    assert max(map(len, text.splitlines())) <= 100
    for part in ("ORD-1001", "TRK-0001", "2026-08-30", "2026-09-02 10:05:00", "2026_09_02:7", "[rear]"):
        assert part in text
    assert "10:14:58" not in text, "when its file was delivered is in the table, not here"
    assert "order_tracking: 1 rows" in text


def test_more_rows_than_shown_are_counted() -> None:
    console = terminal()
    show.show_target(console, "order_tracking", [ROW], 4711, limit=1)
    assert "the first 1 of 4711 rows" in text_of(console)


def test_a_quarantined_row_shows_every_reason_and_its_raw_text() -> None:
    console = terminal()
    row = {"_source_file": "source/order_tracking_2026_09_02.csv", "_record": 3, "raw": '{"a": "[b]"}'}
    show.show_quarantine(console, "order_tracking_quarantine", [row | {"reasons": ["one", "two"]}], 1, limit=20)
    text = text_of(console)
    assert all(part in text for part in ("2026_09_02:3", "one", "two", '{"a": "[b]"}'))


def test_an_empty_table_is_shown_as_empty() -> None:
    console = terminal()
    show.show_target(console, "order_tracking", [], 0, limit=20)
    assert "order_tracking: 0 rows" in text_of(console)


def test_what_producers_write_gives_no_orders_to_the_terminal() -> None:
    """Data that would set the window's title, clear the screen, or go back over what was printed."""
    console = terminal()
    row = ROW | {"address": "a\x1b]0;title\x07\x1b[2J\x9b31m\rb", "_source_file": "source/a\x1b[2J.csv"}
    show.show_target(console, "order_tracking", [row], 1, limit=20)
    show.show_quarantine(
        console, "order_tracking_quarantine", [row | {"raw": "\x1b[8m", "reasons": ["\x1b[8m"]}], 1, limit=20
    )
    printed = text_of(console)
    assert not set(printed) & set("\x07\x1b\x9b\r")
    assert r"\x1b" in printed
