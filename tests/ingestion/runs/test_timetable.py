"""When runs start: one live run after the other, one run a day in a backfill."""

from datetime import UTC, datetime
from functools import partial

import pendulum
import pytest
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.utils.types import DagRunType

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


def test_a_backfill_of_today_holds_up_no_live_run() -> None:
    today = NOW.start_of("day")
    assert live(DataInterval(today, today.add(days=1))) == DagRunInfo.exact(NOW)


def test_nothing_is_planned_after_a_run_that_has_not_begun() -> None:
    """The calendar of the UI asks for the run after the next, and the one after that, up to two thousand."""
    planned = [NOW.subtract(seconds=3)]
    while info := live(DataInterval.exact(planned[-1])):
        planned.append(info.logical_date)
        assert len(planned) < 5


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
    with pytest.raises(ValueError, match=r"2030-01-01.* is in the future.* Leave it out"):
        manual(run_after=pendulum.datetime(2030, 1, 1))


def test_a_manual_run_that_is_to_start_later_is_refused() -> None:
    """The API asks for its name; until its time it would be the one run that the DAG may have."""
    named = partial(FileArrivalTimetable().generate_run_id, data_interval=None)
    assert named(run_type=DagRunType.MANUAL, run_after=NOW) == "manual__2026-11-22T09:30:00+00:00"
    later = NOW.add(hours=1)
    assert named(run_type=DagRunType.SCHEDULED, run_after=later) == "scheduled__2026-11-22T10:30:00+00:00"
    with pytest.raises(ValueError, match=r"run_after 2026-11-22.* is in the future.* trigger the run when"):
        named(run_type=DagRunType.MANUAL, run_after=later)


def test_it_survives_serialization() -> None:
    timetable = FileArrivalTimetable()
    assert isinstance(FileArrivalTimetable.deserialize(timetable.serialize()), FileArrivalTimetable)
    assert timetable.summary == "on file arrival"
