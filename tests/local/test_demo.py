"""A demo that shows wrong data must fail: what it compares, and with what."""

import csv
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from local import demo
from tests.oracle import Delivery, expected_target

WANTED = [{"tracking_num": "TRK-1", "day": "2026-09-01", "updated": "2026-09-01 08:00:00"}]


def row(**changes: object) -> dict[str, Any]:
    sound = {
        "tracking_num": "TRK-1",
        "day": date(2026, 9, 1),
        "updated": datetime(2026, 9, 1, 8, tzinfo=UTC),
        "_generation": 1,
    }
    return sound | changes


def test_rows_as_expected_pass() -> None:
    demo.compare("orders", WANTED, [row()])


@pytest.mark.parametrize(
    "found",
    [
        [],
        [row(), row()],
        [row(tracking_num="TRK-2")],
        [row(day=None)],
        [row(updated=datetime(2026, 9, 1, 7, tzinfo=UTC))],
    ],
    ids=["none", "twice", "another key", "a NULL", "another time"],
)
def test_any_other_rows_fail_and_are_shown(found: list[dict[str, Any]]) -> None:
    with pytest.raises(demo.DemoError, match="orders is wrong"):
        demo.compare("orders", WANTED, found)


def test_the_rows_written_by_hand_are_what_the_rules_make_of_the_samples() -> None:
    """The oracle, which shares no code with the pipeline, agrees with the hand that wrote the rows."""
    names = [name for _, dag, files in demo.DELIVERIES if dag == demo.DAG for name in files]
    texts = {name: (demo.SAMPLES / name).read_text() for name in names}
    for entry in demo.expected(f"{demo.DAG}_quarantine"):  # the oracle knows no bad rows but those of time and key
        name = entry["_source_file"].removeprefix("source/")
        lines = texts[name].splitlines()
        texts[name] = "\n".join([*lines[: int(entry["_record"])], ",,,,,,", *lines[int(entry["_record"]) + 1 :]])
    keyed = [name for name in names if "tracking_num" in texts[name].splitlines()[0]]
    first = datetime(2026, 9, 2, 12, tzinfo=UTC)
    winners = expected_target(
        [Delivery(f"source/{name}", at, first + timedelta(at), texts[name]) for at, name in enumerate(keyed)]
    )
    found = [winners[key] for key in sorted(winners)]
    demo.compare("oracle's target", demo.expected(demo.DAG), found)


def test_every_sample_is_delivered() -> None:
    delivered = {name for *_, files in demo.DELIVERIES for name in files}
    assert delivered == {path.name for path in demo.SAMPLES.glob("*.csv")}


def test_every_expected_file_has_rows() -> None:
    for path in (demo.SAMPLES / "expected").glob("*.csv"):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows
        assert all(None not in row and None not in row.values() for row in rows), f"{path.name}: a row of other columns"
