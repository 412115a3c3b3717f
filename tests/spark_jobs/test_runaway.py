"""Quotes that are opened and not closed: whatever they take along is seen, and the rest is loaded."""

import random

import pytest

from tests.spark_jobs.conftest import HEADER, Lake, order

BROKEN = "record: wrong number of fields or broken quotes"


def took(lines: int) -> str:
    return f"record: an unclosed quote took in {lines} more lines"


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
def test_a_runaway_quote_is_quarantined_with_what_it_took(lake: Lake, case: str) -> None:
    lines, expected = CASES[case]
    first = order("T0", "ok", "08:00:00")

    result = lake.stage(lake.orders(*lines, generation=1), lake.orders(first, generation=2))

    assert dict(lake.rows("order_tracking_quarantine", "_record, reasons")) == expected
    (raw,) = lake.rows("order_tracking_quarantine", "raw")[0]
    assert "T1" in raw
    assert ("T2" in raw) == any("T2" in line for line in lines)
    after = 1 if lines[-1] == GOOD and "end of the file" not in case else 0
    assert result["rows_staged"] == 1 + after


NAMES = HEADER.split(",")
LAYOUTS = {
    "order column last": NAMES,
    "order column first": [NAMES[-1], *NAMES[:-1]],
    "order column in the middle": [*NAMES[:2], NAMES[5], NAMES[6], *NAMES[2:5]],
    "key last": [*(name for name in NAMES if name != "tracking_num"), "tracking_num"],
    "free text first": ["address", *(name for name in NAMES if name != "address")],
}


def test_a_quote_closed_by_a_field_of_several_lines_is_seen(lake: Lake) -> None:
    names = LAYOUTS["order column in the middle"]
    good = 'O3,T3,"""Rose Cottage""\nHigh Street",2026-11-20 09:00:00,2026-11-18,,ok\n'
    broken = 'O1,T1,x,2026-11-20 09:00:00,2026-11-18,,"ok\n'
    closing = 'O2,T2,"two\nlines",2026-11-20 09:00:00,2026-11-18,,ok\n'
    lake.stage(lake.deliver(f"{','.join(names)}\n{broken}{closing}{good}", generation=1, columns=names))

    assert lake.staged("tracking_num, address") == [("T3", '"Rose Cottage"\nHigh Street')]
    first, second = lake.rows("order_tracking_quarantine", "reasons, raw")
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


def check_no_row_is_lost(lake: Lake, layout: str, mark: str, files: int) -> None:
    """Every row but the broken one of each file is staged as it is, or its key is in the text of a quarantined record.

    Rows before the broken one are all staged: a good field of several lines is not taken for a runaway.
    """
    source = random.Random(f"{layout}{mark}")  # noqa: S311 - no secret
    names = LAYOUTS[layout]
    broken = [source.randrange(ROWS) for _ in range(files)]
    deliveries = []
    for number, at in enumerate(broken):
        lines = rows_of(names, mark, source)
        lines[at] = with_stray_quote(lines[at], source)
        text = ",".join(names) + "\n" + "".join(lines)
        deliveries.append(lake.deliver(text, generation=number, name=f"{number}.csv", columns=names))
    lake.stage(*deliveries)

    staged: list[dict[str, tuple[str, int]]] = [{} for _ in broken]
    columns = "_generation, tracking_num, order_num, last_update_timestamp"
    for number, key, order_num, updated in lake.staged(columns):
        staged[number][key] = (order_num, updated.second)
    quarantined = [""] * files
    for number, raw in lake.rows("order_tracking_quarantine", "_generation, raw"):
        quarantined[number] += raw
    for number, at in enumerate(broken):
        for n in (n for n in range(ROWS) if n != at):
            found = staged[number].get(f"KEY{n:04}")
            assert found == (f"O{n}", n) or (n > at and found is None and f"KEY{n:04}" in quarantined[number]), (
                f"record {n} of file {number}, broken at {at}: {found}"
            )


@pytest.mark.parametrize(
    ("layout", "mark"),
    [
        ("order column last", ""),
        ("order column last", '"'),
        ("order column in the middle", ""),
        ("free text first", ""),
    ],
)
def test_no_good_row_is_lost_unseen_wherever_a_quote_is_put(lake: Lake, layout: str, mark: str) -> None:
    check_no_row_is_lost(lake, layout, mark, files=60)


@pytest.mark.soak
@pytest.mark.parametrize("mark", ["", '"'])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_good_row_is_lost_unseen_in_many_files(lake: Lake, layout: str, mark: str) -> None:
    check_no_row_is_lost(lake, layout, mark, files=360)
