"""What a pattern may be, and which day a name says."""

import re
from datetime import date

import pytest

from ingestion.pipeline.file_names import check_pattern, compiled, day_of


@pytest.mark.parametrize(
    ("pattern", "name", "day"),
    [
        (r"a_(?P<date>\d{8})\.csv", "a_20261115.csv", date(2026, 11, 15)),
        (r"a_(?P<date>\d{4}[-_.]\d\d[-_.]\d\d)\.csv", "a_2026-11-15.csv", date(2026, 11, 15)),
        (r"a_(?P<date>(\d{4})\(?_(\d\d)[()]?_(\d\d))\.csv", "a_2026_11_15.csv", date(2026, 11, 15)),
        (r"parcels(_(?P<date>\d{8}))?\.csv", "parcels.csv", None),
        (r"parcels(_(?P<date>\d{8}))?\.csv", "parcels_20261115.csv", date(2026, 11, 15)),
        (r"a_(?P<year>\d{4})_(?P<month>\d\d?)\.csv", "a_2026_3.csv", date(2026, 3, 1)),
        (r"a_(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d\d)\.csv", "a_151126.csv", date(2026, 11, 15)),
        (r"a_(?P<year>\d{4})-(?P<month>\d\d?)-(?P<day>\d\d?)\.csv", "a_2026-1-15.csv", date(2026, 1, 15)),
        (r"a_\d+\.csv", "a_1.csv", None),
    ],
)
def test_a_name_says_its_day(pattern: str, name: str, day: date | None) -> None:
    check_pattern(pattern)
    match = compiled(pattern).fullmatch(name)
    assert match is not None
    assert day_of(match) == day


@pytest.mark.parametrize(
    ("pattern", "name", "says"),
    [
        (r"a_(?P<date>[\d-]+)\.csv", "a_2026-1-15.csv", "2026-1-15 is no day of eight digits"),
        (r"a_(?P<date>[\d-]+)\.csv", "a_2026-11.csv", "2026-11 is no day of eight digits"),
        (r"a_(?P<date>\d{8})\.csv", "a_15112026.csv", "month"),
        (r"a_(?P<year>\d{4})(?P<month>\d\d)\.csv", "a_202613.csv", "month"),
    ],
)
def test_a_name_that_says_no_day_is_not_guessed_at(pattern: str, name: str, says: str) -> None:
    match = compiled(pattern).fullmatch(name)
    assert match is not None
    with pytest.raises(ValueError, match=re.escape(says)):
        day_of(match)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "not a regular expression"),
        (r"a_(?P<date>\d{4}_\d{2})\.csv", "fits no day of eight digits"),
        (r"a_(?P<date>\d{6})\.csv", "fits no day of eight digits"),
        (r"a_(?P<day>\d\d)\.csv", "a day needs the groups"),
        (r"a_(?P<date>\d{8})_(?P<year>\d{4})\.csv", "it says the day twice"),
    ],
)
def test_a_pattern_that_says_no_day_for_certain_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_pattern(pattern)


def test_capitals_may_mean_nothing() -> None:
    assert compiled(r"order_\d+\.csv", ignore_case=True).fullmatch("ORDER_1.CSV")
    assert not compiled(r"order_\d+\.csv").fullmatch("ORDER_1.CSV")
