"""What a backfill is asked to do, read from the command line."""

import argparse
import json
import shlex
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from typing import Any, Literal, Self

Reprocess = Literal["none", "failed", "completed"]
MAX_FAILED_DAYS = 3


class RefusedError(Exception):
    """The command ends without having started anything. The message is one line and says what to do."""


@dataclass(frozen=True)
class Options:
    """The command line, checked as far as it can be without a look at the DAG. `first` and `last` are included."""

    group: str
    dag_id: str
    first: date
    last: date
    reprocess: Reprocess
    backwards: bool
    conf: dict[str, Any] | None
    max_active_runs: int
    max_failed_days: int | None
    dry_run: bool
    yes: bool

    @classmethod
    def of(cls, args: argparse.Namespace, group: str) -> Self:
        """The options of `airflow <group> backfill`. Raises RefusedError."""
        if not (args.start_date or args.end_date):
            raise RefusedError("which days? Give --start-date and --end-date; one of them alone means that one day")
        reprocess: Reprocess = "failed" if args.rerun_failed_tasks else "none"
        return cls(
            group=group,
            dag_id=args.dag_id,
            first=_moment(args.start_date or args.end_date),
            last=_moment(args.end_date or args.start_date),
            reprocess="completed" if args.reset_dagruns else reprocess,
            backwards=args.run_backwards,
            conf=_conf(args.conf),
            max_active_runs=args.max_active_runs,
            max_failed_days=None if args.continue_on_failures else args.max_failed_days,
            dry_run=args.dry_run,
            yes=args.yes,
        )

    def bounds(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """The first and last moment of the range; a day without a time is the whole day. Raises RefusedError."""
        first, last = _at(self.first, time.min, zone), _at(self.last, time.max, zone)
        if first > last:
            raise RefusedError(f"the range is reversed: it starts on {self.first} and ends on {self.last}")
        return first, last

    def range(self) -> str:
        """The range as it was given."""
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"

    def command_line(self, *, rerun_failed: bool = False) -> str:
        """A command that does the same, or runs what failed again."""
        line = [
            "airflow",
            self.group,
            "backfill",
            self.dag_id,
            "-s",
            self.first.isoformat(),
            "-e",
            self.last.isoformat(),
        ]
        if rerun_failed or self.reprocess == "failed":
            line.append("--rerun-failed-tasks")
        elif self.reprocess == "completed":
            line.append("--reset-dagruns")
        if self.backwards:
            line.append("--run-backwards")
        if self.conf is not None:
            line += ["--conf", json.dumps(self.conf)]
        if self.max_active_runs > 1:
            line += ["--max-active-runs", str(self.max_active_runs)]
        if self.max_failed_days is None:
            line.append("--continue-on-failures")
        elif self.max_failed_days != MAX_FAILED_DAYS:
            line += ["--max-failed-days", str(self.max_failed_days)]
        return shlex.join(line)


def _moment(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(f"{text!r} is no date: write it as 2026-11-20 or 2026-11-20T06:00") from None


def _at(moment: date, default: time, zone: tzinfo) -> datetime:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, default)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _conf(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        conf = json.loads(text)
    except json.JSONDecodeError as error:
        raise RefusedError(
            f"--conf is no JSON ({error}): quote it for the shell, as in --conf '{{\"key\": 1}}'"
        ) from None
    if not isinstance(conf, dict):
        raise RefusedError("--conf must be a JSON object, as in --conf '{\"key\": 1}'")
    return conf
