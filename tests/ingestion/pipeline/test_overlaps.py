"""Feeds whose patterns fit the same names: which are found, and that none takes what another would take too."""

from pathlib import Path

import pytest

from ingestion.pipeline.feed_files import feed_files, load_feed
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import contested, loadable
from ingestion.pipeline.overlaps import overlaps
from tests.conftest import REPO

ONE, OTHER = Path("one.yaml"), Path("other.yaml")


def named(feed: Feed, pattern: str, **settings: object) -> Feed:
    return Feed.model_validate(feed.model_dump() | {"pattern": pattern, **settings})


def test_shipped_feeds_do_not_overlap() -> None:
    feeds = {path: load_feed(path) for path in feed_files(REPO / "dags/feeds")}
    assert (len(feeds), overlaps(feeds)) == (3, {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"orders_.*", r"orders_returns_.*"),
        (r"orders_.*\.csv", r"orders_returns_(?P<date>\d{8})\.csv"),
        (r"orders_\w+\.csv", r"orders_(\d{4}-\d\d-\d\d|returns_\d+)\.csv"),
        (r".*_returns\.csv", r"orders_.*\.csv"),
        (r"orders_.*_eu\.csv", r"orders_returns_.*\.csv"),
        (r"orders(_(?P<date>\d{8}))?\.csv", r"orders\.csv"),
        (r"orders(_\d{8})?\.csv", r"orders_\d+\.csv"),
        (r"[^_]+_\d{8}\.csv", r"orders_(?P<date>\d{8})\.csv"),
        (r"orders_(?!returns_).*", r"orders_[a-z]+_.*"),
        (r"orders_(a|b)\.csv", r"orders_[b-z]\.csv"),
        (r"(?:[a-z]+_)+\d{8}\.csv", r"orders_returns_2026\d{4}\.csv"),
        (r"x.csv", r"x\.csv"),
    ],
)
def test_an_overlap_is_found_with_a_name_that_both_take(feed: Feed, one: str, other: str) -> None:
    for feeds in (
        {ONE: named(feed, one), OTHER: named(feed, other)},
        {ONE: named(feed, other), OTHER: named(feed, one)},
    ):
        ((pair, name),) = overlaps(feeds).items()
        assert pair == (ONE, OTHER)
        assert all(each.match(name) for each in feeds.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"orders_(?!returns_).*", r"orders_returns_.*"),
        (r"orders_(?P<date>\d{8})\.csv", r"orders_returns_(?P<date>\d{8})\.csv"),
        (r"orders_.*(?<!\.gz)", r"orders_.*\.gz"),
        (r"orders_\d{8}(_\d)?\.csv", r"orders_\d{8}_\d\d\.csv"),
        (r"orders_\d+\.csv", r"ORDERS_\d+\.csv"),
        (r"orders_(\d)\1\.csv", r"returns_.*"),
    ],
)
def test_what_does_not_overlap_is_not_told(feed: Feed, one: str, other: str) -> None:
    assert overlaps({ONE: named(feed, one), OTHER: named(feed, other)}) == {}


def test_feeds_of_other_prefixes_do_not_meet(feed: Feed) -> None:
    assert overlaps({ONE: named(feed, "a.*"), OTHER: named(feed, "a.*", prefix="source/deep/")}) == {}


def test_capitals_count_unless_a_feed_ignores_them(feed: Feed) -> None:
    lower, upper = named(feed, r"orders_.*", ignore_case=True), named(feed, r"ORDERS_RETURNS_.*")
    assert set(overlaps({ONE: lower, OTHER: upper})) == {(ONE, OTHER)}


def test_a_file_of_two_feeds_is_taken_by_neither(feed: Feed) -> None:
    orders = named(feed, r"orders_.*", name="orders")
    returns = named(feed, r"ORDERS_returns_.*", name="returns", ignore_case=True)
    elsewhere = named(feed, r".*", name="elsewhere", prefix="other/")
    every = [orders, returns, elsewhere]
    names = ["source/orders_1.csv", "source/orders_returns_1.csv", "source/ORDERS_RETURNS_2.csv", "other/orders_1.csv"]
    assert [loadable(each.beside(every), names) for each in every] == [
        ["source/orders_1.csv"],
        ["source/ORDERS_RETURNS_2.csv"],
        ["other/orders_1.csv"],
    ]
    assert contested(orders.beside(every), names) == ["source/orders_returns_1.csv"]
