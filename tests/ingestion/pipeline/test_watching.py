"""What no run would tell, found in a real bucket."""

from datetime import UTC, date, datetime, timedelta

import pytest
from google.cloud.storage import Bucket

from ingestion.pipeline.archiving import archive
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import StoredObject
from ingestion.pipeline.left_behind import leave_refused, write_note
from ingestion.pipeline.watching import Silences, concerned, days_to_check, is_forgotten, silences, unrecognised
from tests.ingestion.pipeline.batches import FIRST, NAME, must_plan, put

HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def other(feed: Feed) -> Feed:
    """A second feed under the same prefix."""
    pattern = r"returns_(?P<date>\d{8})\.csv"
    return Feed.model_validate(feed.model_dump(exclude={"others"}) | {"name": "returns", "pattern": pattern})


def found(bucket: Bucket, *feeds: Feed, told: Silences | None = None, after: timedelta = 2 * HOUR) -> Silences:
    """What is told some time from now."""
    beside = [feed.beside(feeds) for feed in feeds]
    return silences(bucket, beside, HOUR, datetime.now(UTC) + after, told or {})


@pytest.mark.parametrize(
    "name",
    [
        "order_tracking_2026-11-20.csv",
        "ORDER_TRACKING_2026_11_20.CSV",
        "order_tracking_2026_11_20 (1).csv",
        "2026/order_tracking_2026_11_20.csv",
    ],
)
def test_an_object_that_no_feed_takes_is_told_when_it_is_old(
    bucket: Bucket, feed: Feed, other: Feed, name: str
) -> None:
    put(bucket, f"source/{name}", FIRST)
    assert found(bucket, feed, other, after=HOUR / 2) == {}
    ((key, text),) = found(bucket, feed, other).items()
    assert key == f"unrecognised source/{name}"
    assert text.startswith(f"gs://{bucket.name}/source/{name}, delivered ")
    assert "has a name that is none of any feed: nothing loads it" in text


def test_a_name_with_control_characters_is_told_in_letters(bucket: Bucket, feed: Feed) -> None:
    """The task returns the text, and Airflow's database holds no NUL: the watch would fail from then on."""
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    name = "source/order_tracking_2026_11_20.csv\0\x1b[2J"
    (text,) = unrecognised(bucket.name, [feed], [StoredObject(name, 1, 1, at, "AAAAAA==", None)]).values()
    assert text.startswith(rf"gs://{bucket.name}/source/order_tracking_2026_11_20.csv\x00\x1b[2J, delivered")


def test_what_the_pipeline_itself_keeps_and_folders_are_not_told(bucket: Bucket, feed: Feed) -> None:
    put(bucket, "source/", b"")
    put(bucket, "source/2026/", b"")
    put(bucket, "elsewhere/x.csv", b"x")
    put(bucket, NAME, FIRST)
    archive(bucket, must_plan(bucket, feed))
    assert found(bucket, feed) == {}


def test_an_object_that_two_feeds_would_take_is_told_with_both(bucket: Bucket, feed: Feed, other: Feed) -> None:
    greedy = other.model_copy(update={"pattern": ".*"})
    put(bucket, NAME, FIRST)
    (text,) = found(bucket, feed, greedy).values()
    assert "fits the patterns of order_tracking, returns: nothing loads it" in text


def test_a_file_that_is_not_loaded_is_told_unless_it_was_when_it_was_left(
    bucket: Bucket, feed: Feed, other: Feed
) -> None:
    generation = put(bucket, NAME, FIRST)
    put(bucket, "source/returns_20261120.csv", FIRST)
    told = found(bucket, feed, other)
    assert sorted(key.rsplit(" ", 1)[0] for key in told) == [f"waiting {NAME}", "waiting source/returns_20261120.csv"]
    assert "see the runs of order_tracking, which is paused, failing or behind" in told[f"waiting {NAME} {generation}"]
    leave_refused(bucket, feed, [(NAME, generation)], "a changed key")
    assert f"waiting {NAME} {generation}" in found(bucket, feed, other), "its run has failed, and no other comes"
    write_note(bucket, feed, "unreadable", (NAME, generation), "forbidden")
    assert [key.split(" ")[1] for key in found(bucket, feed, other)] == ["source/returns_20261120.csv"]


def expecting(feed: Feed, by: str, time_zone: str = "UTC") -> Feed:
    return Feed.model_validate(feed.model_dump() | {"expected_by": by, "time_zone": time_zone})


@pytest.mark.parametrize(
    ("by", "time_zone", "now", "day", "due"),
    [
        ("09:00", "UTC", "2026-11-20T09:00", "2026-11-20", "2026-11-20T09:00"),
        ("09:00", "UTC", "2026-11-20T08:59", "2026-11-19", "2026-11-19T09:00"),
        ("33:00", "UTC", "2026-11-20T09:00", "2026-11-19", "2026-11-20T09:00"),
        ("33:00", "UTC", "2026-11-20T08:59", "2026-11-18", "2026-11-19T09:00"),
        ("09:00", "Europe/Berlin", "2026-11-20T08:00", "2026-11-20", "2026-11-20T08:00"),
        ("09:00", "America/New_York", "2026-11-20T13:59", "2026-11-19", "2026-11-19T14:00"),
        # Clocks were put forward that night: nine by the clock on the wall is nine.
        ("09:00", "Europe/Berlin", "2026-03-29T07:00", "2026-03-29", "2026-03-29T07:00"),
        ("33:00", "Europe/Berlin", "2026-03-29T07:00", "2026-03-28", "2026-03-29T07:00"),
    ],
)
def test_a_file_is_due_by_the_clock_of_its_feed(
    feed: Feed, by: str, time_zone: str, now: str, day: str, due: str
) -> None:
    expected = expecting(feed, by, time_zone)
    assert expected.newest_day_due(datetime.fromisoformat(f"{now}Z")) == date.fromisoformat(day)
    assert expected.due(date.fromisoformat(day)).astimezone(UTC) == datetime.fromisoformat(f"{due}Z")


@pytest.mark.parametrize("by", ["9:00", "09:60", "nine", "09:00:00"])
def test_a_time_that_is_none_is_refused(feed: Feed, by: str) -> None:
    with pytest.raises(ValueError, match="expected_by"):
        expecting(feed, by)


def test_days_without_a_file_by_plan_are_not_told(bucket: Bucket, feed: Feed) -> None:
    weekdays = expecting(feed, "09:00").model_dump() | {"expected_on": ["mon", "tue", "wed", "thu", "fri"]}
    feed = Feed.model_validate(weekdays)
    friday = datetime(2026, 11, 20, 12, tzinfo=UTC)
    told = missing(bucket, feed, friday)
    assert list(told) == ["missing order_tracking 2026-11-20"]
    for later in (1, 2):  # Saturday and Sunday: what was told stays so, nothing is added
        assert missing(bucket, feed, friday + timedelta(days=later), told) == told
    monday = missing(bucket, feed, friday + timedelta(days=3), told)
    assert list(monday) == ["missing order_tracking 2026-11-20", "missing order_tracking 2026-11-23"]


def missing(bucket: Bucket, feed: Feed, now: datetime = NOON, told: Silences | None = None) -> Silences:
    return silences(bucket, [feed], timedelta(days=1000), now, told or {})


def test_a_day_without_a_file_is_told(bucket: Bucket, feed: Feed) -> None:
    text = f"No file of 2026-11-20 has come for feed order_tracking: it was expected in gs://{bucket.name}/source/ "
    berlin = expecting(feed, "10:30", "Europe/Berlin")
    assert missing(bucket, berlin) == {"missing order_tracking 2026-11-20": f"{text}by 2026-11-20 10:30 CET."}
    assert missing(bucket, feed) == {}, "nothing is expected"


@pytest.mark.parametrize(
    "name", [NAME, "archive/order_tracking/2026-11-20/x.1.csv", "rejected/order_tracking/2026-11-20/x.csv"]
)
def test_a_file_has_come_wherever_it_is_now(bucket: Bucket, feed: Feed, name: str) -> None:
    put(bucket, "source/order_tracking_2026_11_19.csv", FIRST)
    assert len(missing(bucket, expecting(feed, "09:00"))) == 1
    put(bucket, name, FIRST)
    assert missing(bucket, expecting(feed, "09:00")) == {}


def test_a_day_that_was_told_is_asked_for_again_for_a_week(bucket: Bucket, feed: Feed) -> None:
    feed = expecting(feed, "09:00")
    told = {f"missing order_tracking 2026-11-{day}": "" for day in (13, 14, 18)} | {"missing returns 2026-11-17": ""}
    assert days_to_check(feed, NOON, told) == [date(2026, 11, day) for day in (13, 14, 18, 20)]
    put(bucket, "archive/order_tracking/2026-11-18/x.1.csv", FIRST)
    assert sorted(missing(bucket, feed, told=told)) == [f"missing order_tracking 2026-11-{day}" for day in (13, 14, 20)]


def test_only_a_missing_day_of_long_ago_is_forgotten() -> None:
    assert is_forgotten("missing order_tracking 2026-11-12", NOON)
    assert not is_forgotten("missing order_tracking 2026-11-13", NOON)
    assert not is_forgotten("unrecognised source/missing 2020-01-01", NOON)
    assert not is_forgotten("paused order_tracking", NOON)


def test_what_is_told_concerns_the_feeds_it_is_about(feed: Feed) -> None:
    web = feed.model_copy(update={"name": "web", "pattern": "web .*"})
    far = feed.model_copy(update={"name": "far", "prefix": "far/"})
    keys = {
        "unrecognised source/mis spelt.csv": ["order_tracking", "web"],
        "waiting source/web 1.csv 17": ["web"],
        "missing far 2026-11-20": ["far"],
        "paused web": ["web"],
        "backfill web": ["web"],
        "paused gone": [],
    }
    assert {key: [item.name for item in concerned(key, [feed, web, far])] for key in keys} == keys
