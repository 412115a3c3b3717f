"""Which objects are files of a feed, and which of them one batch takes."""

from datetime import UTC, date, datetime

import pytest

from ingestion.pipeline.feeds import Feed, Limits
from ingestion.pipeline.intake import Rejection, StoredObject, file_date, loadable, unrecognised, within_limits

NAME = "source/order_tracking_2026_11_20.csv"


def stored(size: int, generation: int = 1, name: str = NAME) -> StoredObject:
    created = datetime(2026, 11, 20, 12, tzinfo=UTC)
    return StoredObject(name, generation, size, created, "AAAAAA==", None)


def test_an_impossible_date_in_the_name_is_a_rejection(feed: Feed) -> None:
    wrong = file_date(feed, stored(1, name="source/order_tracking_2026_13_01.csv"))
    assert isinstance(wrong, Rejection)
    assert wrong.code == "invalid_date"
    assert "the date in the name order_tracking_2026_13_01.csv does not exist: month" in wrong.reason
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


@pytest.mark.parametrize("name", ["a\0b", "a\x1b[2Jb", "a\nb", "a\x7fb", "a\x9bb", "deep/ab", "../ab", ".", ".."])
def test_no_pattern_takes_a_name_with_control_characters_or_of_a_folder(feed: Feed, name: str) -> None:
    """XComs, terminals and file systems cannot hold all of them: one such file would hold up all others."""
    greedy = feed.model_copy(update={"pattern": r"(?s).*"})
    names = ["source/%2e%2e", "source/*?[x]{y}", "source/..csv", "source/\u202eabc", "source/a\\b", "source/\u2025"]
    assert loadable(greedy, [*names, f"source/{name}"]) == sorted(names)
