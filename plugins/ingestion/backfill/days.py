"""The days of a backfill, and the words for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo
from typing import Any

# What is asked of the XComs of a run of this package's pipeline: (task, key).
XCOMS = (("plan_batch", "files"), ("plan_batch", "rejected"), ("stage", "return_value"), ("merge", "return_value"))
PASSED_OVER_AFTER = timedelta(minutes=2)
_COUNTS = ("inserted", "updated", "stale", "duplicate", "quarantined")


@dataclass(frozen=True)
class PlannedDay:
    """A day of the range, before anything runs. `state` is of the run it has."""

    name: str
    is_over: bool
    state: str | None
    attempted: bool  # whether Airflow would run it

    @property
    def fate(self) -> str:
        """What a backfill does about it."""
        if not self.is_over:
            return "left out: not over yet"
        if self.attempted:
            return "again" if self.state else "new"
        why = {"success": "already succeeded", "failed": "failed earlier, needs --rerun-failed-tasks"}
        return f"left alone: {why.get(str(self.state), 'is running now')}"


@dataclass(frozen=True)
class Day:
    """A day that a backfill runs. `run_id` is None when somebody deleted its run.

    `looked_at` is when a scheduler last looked at it: every second or so while it runs.
    """

    name: str
    run_id: str | None
    state: str | None
    started: datetime | None
    ended: datetime | None
    looked_at: datetime | None = field(default=None, compare=False)

    @property
    def outcome(self) -> str:
        """How it ended, or how far it is. A run that was given up is failed to Airflow, but never ended."""
        if self.run_id is None:
            return "deleted"
        return "not started" if self.state == "failed" and self.ended is None else str(self.state)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.outcome not in ("queued", "running")

    def is_passed_over(self, now: datetime) -> bool:
        """Whether it runs, but no scheduler has looked at it for a while, so that none of its tasks is scheduled."""
        latest = now - PASSED_OVER_AFTER
        return self.state == "running" and all(at is None or at < latest for at in (self.started, self.looked_at))


def names(days: Sequence[str], most: int = 10) -> str:
    """The days, or the first of many and how many more there are."""
    more = len(days) - most
    return ", ".join(days[:most]) + (f" and {more} more" if more > 0 else "")


def count(number: int, noun: str = "day") -> str:
    """`1 day`, `2 days`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def name_of(moment: datetime, zone: tzinfo) -> str:
    """A day by its date, anything else with its time."""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d}" if local.time() in (time.min, time.max) else f"{local:%Y-%m-%d %H:%M}"


def totals(days: Sequence[Day]) -> str:
    """How many ended how, the ones that did not succeed by name."""
    by_outcome: dict[str, list[str]] = {}
    for day in days:
        by_outcome.setdefault(day.outcome, []).append(day.name)
    succeeded = len(by_outcome.pop("success", []))
    others = (f"{len(found)} {what} ({names(found)})" for what, found in by_outcome.items())
    return ", ".join((f"{succeeded} succeeded", *others))


def loaded(states: Mapping[str, str | None], xcoms: Mapping[tuple[str, str], Any]) -> str:
    """What a run of this package's pipeline has loaded, from what its tasks left; empty for a run of another one.

    `states` of the tasks tell which XComs are of this try of theirs.
    """
    if states.get("plan_batch") != "success" or not {"stage", "merge", "archive"} <= states.keys():
        return ""
    files, rejected, *results = (xcoms.get(key) if states[key[0]] == "success" else None for key in XCOMS)
    rows = {name: value for result in results for name, value in (result or {}).items()}
    parts = [count(files, "file")] if files else []
    parts += [f"{rows[f'rows_{name}']} {name}" for name in _COUNTS if f"rows_{name}" in rows]
    parts += [f"{count(rejected, 'file')} rejected"] if rejected else []
    return ", ".join(parts) or "nothing to load"
