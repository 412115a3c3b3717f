"""The schedule of a feed's DAG: one live run after the other, and a run for each day when a backfill asks."""

from typing import Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.utils.types import DagRunType
from pendulum import DateTime

# Between the starts of two live runs. A run that waited, or loaded a file, has taken longer: the next starts at once.
# Runs that end at once, for whatever reason, are no storm.
SHORTEST_SECONDS = 10
# A browser fills in its own clock's time.
CLOCKS_DIFFER_MINUTES = 5


class FileArrivalTimetable(Timetable):
    """Continuous for the scheduler, daily for a backfill.

    The scheduler passes the DAG's own `catchup` (False), a backfill always passes True: Airflow 3.3,
    SerializedDAG.iter_dagrun_infos_between. A waiting live run is one that runs `detect_new_files`; it is the only live
    run at a time. A backfill run of day D has the data interval D to D+1, midnight UTC to midnight UTC.
    """

    description = "When files arrive"
    periodic = True
    active_runs_limit = 1

    @property
    def summary(self) -> str:
        """What the list of DAGs shows as schedule."""
        return "on file arrival"

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """A manual run is about the moment it was asked for.

        Raises ValueError, which the API answers with, for a logical date in the future: Airflow would let such a run
        take the place of the live one and start no task of it until then, and no file would be loaded.
        """
        if _is_to_come(run_after):
            raise ValueError(
                f"The logical date {run_after} is in the future: Airflow would start no task of this run until then, "
                "and hold up all others. Leave it out."
            )
        return DataInterval.exact(run_after)

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: DateTime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        """The usual name.

        Raises ValueError, which the API answers with, for a manual run that is to start later: until then it would be
        the one run that the DAG may have, and no live run would begin.
        """
        if run_type == DagRunType.MANUAL and _is_to_come(run_after):
            raise ValueError(
                f"run_after {run_after} is in the future: until then no other run of this DAG would begin, and no file "
                "be loaded. Leave it out, and trigger the run when it is to start."
            )
        return super().generate_run_id(run_type=run_type, run_after=run_after, data_interval=data_interval, **extra)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next day of a backfill, or the next live run, which may start now."""
        if restriction.catchup:
            return _next_day(last_automated_data_interval, restriction)
        return _next_live(last_automated_data_interval, restriction, pendulum.now("UTC"))


def _is_to_come(moment: DateTime) -> bool:
    return moment > pendulum.now("UTC").add(minutes=CLOCKS_DIFFER_MINUTES)


def _next_day(last: DataInterval | None, restriction: TimeRestriction) -> DagRunInfo | None:
    if last is not None:
        start = last.start.add(days=1)
    elif restriction.earliest is None:
        return None
    else:
        start = restriction.earliest.in_timezone("UTC").start_of("day")
        if start < restriction.earliest:
            start = start.add(days=1)
    if restriction.latest is not None and start > restriction.latest:
        return None
    # run_after is the day itself, not its end: Airflow names the run after it.
    return DagRunInfo(run_after=start, data_interval=DataInterval(start, start.add(days=1)))


def _next_live(last: DataInterval | None, restriction: TimeRestriction, now: DateTime) -> DagRunInfo | None:
    # Only a view of what is planned asks for a run after one that has not begun: nobody knows when that one will end.
    if last is not None and last.start > now.add(seconds=SHORTEST_SECONDS):
        return None
    # Later than any run before, and never start_date itself: both would meet another run's logical date. The last one
    # may be a backfill run of today, whose interval ends tomorrow.
    at = now if last is None else max(now, last.start.add(seconds=SHORTEST_SECONDS))
    if restriction.earliest is not None:
        at = max(at, restriction.earliest)
    if restriction.latest is not None and at > restriction.latest:
        return None
    return DagRunInfo.exact(at)
