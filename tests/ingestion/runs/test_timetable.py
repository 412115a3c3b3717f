"""When runs start: one live run after the other, one run a day in a backfill."""

from datetime import UTC, datetime

import pendulum
import pytest
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction

from ingestion.runs.timetable import FileArrivalTimetable

START = pendulum.datetime(2020, 1, 1)
NOW = pendulum.datetime(2026, 11, 22, 9, 30)


@pytest.fixture(autouse=True)
def at_half_past_nine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pendulum, "now", lambda tz: NOW)


def live(last: DataInterval | None, latest: pendulum.DateTime | None = None) -> DagRunInfo | None:
    return FileArrivalTimetable().next_dagrun_info(
        last_automated_data_interval=last, restriction=TimeRestriction(START, latest, catchup=False)
    )


def days(earliest: datetime, latest: datetime) -> list[DagRunInfo]:
    restriction = TimeRestriction(pendulum.instance(earliest), pendulum.instance(latest), catchup=True)
    found: list[DagRunInfo] = []
    while True:
        last = found[-1].data_interval if found else None
        info = FileArrivalTimetable().next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info is None:
            return found
        found.append(info)


def test_the_first_live_run_is_now_and_not_start_date() -> None:
    assert live(None) == DagRunInfo.exact(NOW)


def test_a_live_run_after_a_backfill_of_older_days_is_now() -> None:
    day = pendulum.datetime(2026, 11, 20)
    assert live(DataInterval(day, day.add(days=1))) == DagRunInfo.exact(NOW)


def test_live_runs_that_end_at_once_start_ten_seconds_apart() -> None:
    assert live(DataInterval.exact(NOW.subtract(seconds=3))) == DagRunInfo.exact(NOW.add(seconds=7))


def test_after_a_pause_there_is_one_live_run_now() -> None:
    assert live(DataInterval.exact(NOW.subtract(days=7))) == DagRunInfo.exact(NOW)


def test_no_live_run_after_the_end_date() -> None:
    assert live(None, latest=NOW.subtract(days=1)) is None


def test_a_backfill_has_one_run_a_day_named_after_its_day() -> None:
    infos = days(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    assert [info.logical_date for info in infos] == [pendulum.datetime(2026, 11, day) for day in (1, 2, 3)]
    assert [info.run_after for info in infos] == [info.logical_date for info in infos]
    assert [info.data_interval.end for info in infos if info.data_interval] == [
        pendulum.datetime(2026, 11, day) for day in (2, 3, 4)
    ]


def test_a_backfill_from_noon_starts_with_the_next_whole_day() -> None:
    infos = days(datetime(2026, 11, 1, 12, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))
    assert [info.logical_date for info in infos] == [pendulum.datetime(2026, 11, 2)]


def test_a_manual_run_of_a_date_in_the_future_is_refused() -> None:
    """The API asks for its interval; Airflow would start the run, none of its tasks, and no other run beside it."""
    manual = FileArrivalTimetable().infer_manual_data_interval
    assert manual(run_after=NOW.add(minutes=1)) == DataInterval.exact(NOW.add(minutes=1))
    with pytest.raises(ValueError, match=r"2030-01-01.* is in the future.* Leave it out; run_after"):
        manual(run_after=pendulum.datetime(2030, 1, 1))


def test_it_survives_serialization() -> None:
    timetable = FileArrivalTimetable()
    assert isinstance(FileArrivalTimetable.deserialize(timetable.serialize()), FileArrivalTimetable)
    assert timetable.summary == "on file arrival"
