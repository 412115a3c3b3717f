"""Quotes that are opened and not closed: whatever they take along is seen, and the rest is loaded."""

import random
from typing import Any

import pytest

from tests.spark_jobs.conftest import HEADER, Lake, order

BROKEN = "record: wrong number of fields or broken quotes"
NAMES = HEADER.split(",")
LAYOUTS = {
    "order column last": NAMES,
    "order column first": [NAMES[-1], *NAMES[:-1]],
    "order column in the middle": [*NAMES[:2], NAMES[5], NAMES[6], *NAMES[2:5]],
    "key last": [*(name for name in NAMES if name != "tracking_num"), "tracking_num"],
    "free text first": ["address", *(name for name in NAMES if name != "address")],
}


def took(lines: int) -> str:
    return f"record: an unclosed quote took in {lines} more lines"


@pytest.fixture(scope="module")
def cases(module_lake: Lake) -> Lake:
    """A file for each case, all in one batch, as they would take Spark seconds each."""
    files = [module_lake.orders(*lines, generation=1, name=case) for case, (lines, _) in CASES.items()]
    names = LAYOUTS["order column in the middle"]
    text = ",".join(names) + "\n" + "".join(CLOSED_BY_LINES)
    files.append(module_lake.deliver(text, generation=1, name="closed by lines", columns=names))
    files.append(module_lake.orders(order("T0", "ok", "08:00:00"), generation=1, name="good"))
    module_lake.stage(*files)
    return module_lake


GOOD = order("T9", "ok", "09:00:00")
CASES = {
    "to the end of the file": (
        [order("T1", "ok", "09:00:00", '"1 Main St'), GOOD, GOOD],
        {1: [BROKEN, took(2)]},
    ),
    "in the last column, to the end of the file": (
        ['O1,T1,2026-11-18,,ok,x,"2026-11-20 09:00:00\n', GOOD, GOOD],
        {1: [took(2)]},
    ),
    "to the quote of the next row, with the right number of fields": (
        [order("T1", '"ok', "09:00:00"), order("T2", "ok", "09:00:00", '"1 Main St, X"'), GOOD],
        {1: [took(1)]},
    ),
    "cut off in a quoted field, the next row is quoted too": (
        ['O1,T1,2026-11-18,,ok,"1 Mai\n', order("T2", "ok", "09:00:00", '"1 Main St"'), GOOD],
        {1: [took(1)]},
    ),
    "over several rows": (
        [order("T1", '"ok', "09:00:00"), *([GOOD] * 3), order("T2", "ok", "09:00:00", '"1 Main St, X"'), GOOD],
        {1: [took(4)]},
    ),
    "closed in the next row by a quote before a comma": (
        [order("T1", '"ok', "09:00:00"), 'O2,T2,2026-11-18,2026-11-19",ok,x,2026-11-20 09:00:00\n', GOOD],
        {1: [BROKEN, took(1)]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_runaway_quote_is_quarantined_with_what_it_took(cases: Lake, case: str) -> None:
    lines, expected = CASES[case]
    of_case = f"_source_file = 'source/{case}'"

    assert dict(cases.rows("order_tracking_quarantine", "_record, reasons", where=of_case)) == expected
    (raw,) = cases.rows("order_tracking_quarantine", "raw", where=of_case)[0]
    assert "T1" in raw
    assert ("T2" in raw) == any("T2" in line for line in lines)
    after = 1 if lines[-1] == GOOD and "end of the file" not in case else 0
    assert cases.staged("tracking_num", where=of_case) == [("T9",)] * after
    assert cases.staged("tracking_num", where="_source_file = 'source/good'") == [("T0",)]


CLOSED_BY_LINES = [
    'O1,T1,x,2026-11-20 09:00:00,2026-11-18,,"ok\n',
    'O2,T2,"two\nlines",2026-11-20 09:00:00,2026-11-18,,ok\n',
    'O3,T3,"""Rose Cottage""\nHigh Street",2026-11-20 09:00:00,2026-11-18,,ok\n',
]


def test_a_quote_closed_by_a_field_of_several_lines_is_seen(cases: Lake) -> None:
    of_file = "_source_file = 'source/closed by lines'"
    assert cases.staged("tracking_num, address", where=of_file) == [("T3", '"Rose Cottage"\nHigh Street')]
    first, second = cases.rows("order_tracking_quarantine", "reasons, raw", order_by="_record", where=of_file)
    assert first[0] == [took(1)]
    assert "T1" in first[1]
    assert "T2" in first[1]
    assert second == ([BROKEN], 'lines",2026-11-20 09:00:00,2026-11-18,,ok')


ROWS = 40


def rows_of(names: list[str], mark: str, source: random.Random) -> list[str]:
    """Lines of good rows, record n with the key KEY<n> and its second; `mark` stands around plain fields."""
    addresses = ['"1 Main St, X"', f"{mark}2 Main St{mark}", '"two\nlines"', '"a ""b"" c"', mark * 2]
    addresses += ['"x, y\nz, w, 12"', '"""q"""']
    lines = []
    for n in range(ROWS):
        plain = [f"O{n}", f"KEY{n:04}", "2026-11-18", "", source.choice(["ok", "shipped"])]
        fields = [f"{mark}{text}{mark}" for text in plain]
        fields += [source.choice(addresses), f"{mark}2026-11-20 09:00:{n:02}{mark}"]
        by_name = dict(zip(NAMES, fields, strict=True))
        lines.append(",".join(by_name[name] for name in names) + "\n")
    return lines


def with_stray_quote(line: str, source: random.Random) -> str:
    """The line with one more quote: beside a comma, where it does most harm, or anywhere."""
    beside_commas = [at + side for at, letter in enumerate(line) if letter == "," for side in (0, 1)]
    at = source.choice(source.choice([beside_commas, range(len(line))]))
    return f'{line[:at]}"{line[at:]}'


def broken_files(layout: str, mark: str, count: int) -> list[tuple[str, int]]:
    """Texts of files, the same each time, and the place of the broken row in each."""
    source = random.Random(f"{layout}{mark}")  # noqa: S311 - no secret
    names = LAYOUTS[layout]
    files = []
    for at in [source.randrange(ROWS) for _ in range(count)]:
        lines = rows_of(names, mark, source)
        lines[at] = with_stray_quote(lines[at], source)
        files.append((",".join(names) + "\n" + "".join(lines), at))
    return files


def deliver(lake: Lake, layout: str, mark: str, count: int) -> list[dict[str, Any]]:
    return [
        lake.deliver(text, number, f"{layout}{mark}/{number}.csv", columns=LAYOUTS[layout])
        for number, (text, _) in enumerate(broken_files(layout, mark, count))
    ]


def check_no_row_is_lost(lake: Lake, layout: str, mark: str, count: int) -> None:
    """Every row but the broken one of each file is staged as it is, or its key is in the text of a quarantined record.

    Rows before the broken one are all staged: a good field of several lines is not taken for a runaway.
    """
    ours = f"_source_file LIKE 'source/{layout}{mark}/%'"
    staged: list[dict[str, tuple[str, int]]] = [{} for _ in range(count)]
    columns = "_generation, tracking_num, order_num, last_update_timestamp"
    for number, key, order_num, updated in lake.staged(columns, where=ours):
        staged[number][key] = (order_num, updated.second)
    quarantined = [""] * count
    for number, raw in lake.rows("order_tracking_quarantine", "_generation, raw", where=ours):
        quarantined[number] += raw
    for number, (_, at) in enumerate(broken_files(layout, mark, count)):
        for n in (n for n in range(ROWS) if n != at):
            found = staged[number].get(f"KEY{n:04}")
            assert found == (f"O{n}", n) or (n > at and found is None and f"KEY{n:04}" in quarantined[number]), (
                f"record {n} of file {number}, broken at {at}: {found}"
            )


SOME = [
    ("order column last", ""),
    ("order column last", '"'),
    ("order column in the middle", ""),
    ("free text first", ""),
]


@pytest.fixture(scope="module")
def some_broken(module_lake: Lake) -> Lake:
    module_lake.stage(*(file for layout, mark in SOME for file in deliver(module_lake, layout, mark, 60)))
    return module_lake


@pytest.mark.parametrize(("layout", "mark"), SOME)
def test_no_good_row_is_lost_unseen_wherever_a_quote_is_put(some_broken: Lake, layout: str, mark: str) -> None:
    check_no_row_is_lost(some_broken, layout, mark, 60)


@pytest.mark.soak
@pytest.mark.parametrize("mark", ["", '"'])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_good_row_is_lost_unseen_in_many_files(lake: Lake, layout: str, mark: str) -> None:
    lake.stage(*deliver(lake, layout, mark, 360))
    check_no_row_is_lost(lake, layout, mark, 360)
