"""The days of a backfill, before it runs and while it does, and what to say about them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from enum import StrEnum

_MOST_NAMES = 10


class Fate(StrEnum):
    """What a backfill does about one day."""

    NEW = "new"
    AGAIN = "again"
    SUCCEEDED = "left alone: already succeeded"
    FAILED = "left alone: failed earlier, needs --rerun-failed-tasks"
    MANUAL = "left alone: a manual run has this date, --reset-dagruns runs it as a backfill"
    RUNNING = "left alone: is running now"
    UNFINISHED = "left out: not over yet"


@dataclass(frozen=True)
class PlannedDay:
    """A day of the range, before anything runs."""

    name: str
    over: datetime  # the end of its data interval: from then on it may be backfilled
    state: str | None  # of the run it has
    manual: bool  # whether a person started that run, for whatever reason: it need not have loaded this day
    attempted: bool  # whether Airflow would run it

    @property
    def fate(self) -> Fate:
        """What a backfill would do about it."""
        if self.attempted:
            return Fate.AGAIN if self.state else Fate.NEW
        return left_alone(self.state, self.manual) if self.state else Fate.UNFINISHED


@dataclass(frozen=True)
class Day:
    """A day that a backfill runs. `run_id` is None when somebody deleted its run."""

    name: str
    run_id: str | None
    state: str | None
    started: datetime | None
    ended: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.run_id is None or self.state in ("success", "failed")

    @property
    def was_cancelled(self) -> bool:
        """Whether it was given up before it started: Airflow marks such a run as failed, but it never ended."""
        return self.state == "failed" and self.ended is None

    @property
    def outcome(self) -> str:
        """How it ended."""
        if self.run_id is None:
            return "deleted"
        return "cancelled" if self.was_cancelled else str(self.state)


def left_alone(state: str, manual: bool) -> Fate:
    """Why a day whose run is in this state is left alone."""
    if state == "success" and manual:
        return Fate.MANUAL
    return {"success": Fate.SUCCEEDED, "failed": Fate.FAILED}.get(state, Fate.RUNNING)


def table(days: Iterable[PlannedDay]) -> list[str]:
    """One line for each day: what would happen to it."""
    rows = [(day.name, day.fate.value) for day in days]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {fate}" for name, fate in rows]


def names(days: Sequence[str]) -> str:
    """The days, or the first of many and how many more there are."""
    more = len(days) - _MOST_NAMES
    return ", ".join(days[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def count(number: int, noun: str = "day") -> str:
    """`1 day`, `2 days`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def name_of(moment: datetime, zone: tzinfo) -> str:
    """A day by its date, anything else with its time."""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d}" if local.time() in (time.min, time.max) else f"{local:%Y-%m-%d %H:%M}"


def span(duration: timedelta) -> str:
    """`8 s`, `3 min 05 s`, `2 h 07 min`."""
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def totals(days: Sequence[Day]) -> str:
    """How many ended how, the ones that did not succeed by name."""
    by_outcome: dict[str, list[str]] = {}
    for day in days:
        by_outcome.setdefault(day.outcome, []).append(day.name)
    parts = [f"{len(by_outcome.pop('success', []))} succeeded"]
    words = {"cancelled": "not started", "queued": "waiting"}
    parts += [f"{len(found)} {words.get(outcome, outcome)} ({names(found)})" for outcome, found in by_outcome.items()]
    return ", ".join(parts)
