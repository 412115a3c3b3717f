"""Ranges of keys: narrow enough to skip files of the target, and never too narrow."""

from pathlib import Path
from typing import Any

import pytest

from ingestion_jobs.keys import in_ranges, joined
from tests.spark_jobs.conftest import Lake, order


@pytest.mark.parametrize(
    ("groups", "ranges"),
    [
        pytest.param([], [], id="no keys"),
        pytest.param([("A7", "A7")], [("A7", "A7")], id="one key"),
        pytest.param([(f"{n}0", f"{n}9") for n in (3, 1, 2, 4, 5, 6, 8, 7)], [("10", "89")], id="close, in any order"),
        pytest.param(
            [("TRK-0100", "TRK-0199"), ("TRK-0200", "TRK-0299"), ("TRK-9000", "TRK-9345"), ("TRK-9346", "TRK-9678")],
            [("TRK-0100", "TRK-0299"), ("TRK-9000", "TRK-9678")],
            id="a gap between",
        ),
        pytest.param([("", ""), ("a", "b"), ("\U0001f600", "\U0001f600")], None, id="far apart in few letters"),
    ],
)
def test_groups_are_joined_unless_a_worthwhile_gap_lies_between(
    groups: list[tuple[str, str]], ranges: list[tuple[str, str]] | None
) -> None:
    assert joined(groups) == (groups if ranges is None else ranges)


def test_a_type_by_which_no_file_is_skipped_gives_no_condition() -> None:
    assert in_ranges("t.`k`", "double", [("1.0", "2.0")]) == ""
    assert in_ranges("t.`k`", "decimal(6,2)", [("1.50", "2.00")]) == "t.`k` BETWEEN 1.50BD AND 2.00BD"


def test_a_merge_reads_only_files_that_can_hold_its_keys(lake: Lake) -> None:
    target = lake.tables / "order_tracking"
    seen: set[Path] = set()
    files = {}
    for n, letter in enumerate("AFKPZ", start=1):
        lines = [order(f"{letter}{digit}", "first", "09:00:00") for digit in range(10)]
        lake.load(lake.orders(*lines, generation=n, name=f"{n}.csv"))
        files[letter] = {path for path in target.glob("**/*.parquet") if path not in seen}
        seen |= files[letter]
    changed = ("A3", "Z1", "ZZ")
    batch = lake.orders(*(order(key, "second", "10:00:00") for key in changed), generation=9)

    others = [path for letter in "FKP" for path in files[letter]]
    assert len(others) == 3
    for path in others:  # whoever opens them fails
        path.rename(path.with_suffix(".away"))
    lake.load(batch)
    for path in others:
        path.with_suffix(".away").rename(path)

    assert [key for key, status in lake.target("tracking_num", "status") if status == "second"] == list(changed)
    assert len(lake.target("tracking_num")) == 51


@pytest.mark.parametrize(
    ("type_", "texts", "formats"),
    [
        ("bigint", ["-5", "7", "1000000007"], []),
        ("decimal(12,2)", ["-5.50", "0.00", "1234567.89"], []),
        ("date", ["0001-01-01", "2026-11-20", "9999-12-31"], ["yyyy-MM-dd"]),
        ("timestamp", ["2026-11-20 10:00:00", "2026-11-20 10:00:00.000001"], ["yyyy-MM-dd HH:mm:ss[.SSSSSS]"]),
        ("double", ["-1e5", "0.1", "NaN"], []),
        ("string", ["", "it's", "back\\slash", "100%", "a\nb", "\U0001f600", "é", "\u007f"], []),
    ],
)
def test_keys_of_every_type_are_found_again(lake: Lake, type_: str, texts: list[str], formats: list[str]) -> None:
    columns: list[dict[str, Any]] = [
        {"name": "id", "type": type_, "formats": formats},
        {"name": "part", "type": "string"},
        {"name": "at", "type": "date", "formats": ["yyyy-MM-dd"]},
    ]
    changes = {"columns": columns, "key": ["id", "part"], "order_by": "at"}
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts if text]
    for generation, day in ((1, "2026-11-19"), (2, "2026-11-20")):
        text = "id,part,at\n" + "".join(f"{key},p,{day}\n" for key in quoted)
        result = lake.load(lake.deliver(text, generation, columns=["id", "part", "at"]), **changes)
        found = (result["rows_inserted"], result["rows_updated"])
        assert found == ((len(quoted), 0) if generation == 1 else (0, len(quoted)))
