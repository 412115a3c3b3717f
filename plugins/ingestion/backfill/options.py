"""What a backfill is asked to do, read from the command line."""

from argparse import Namespace
from contextlib import suppress
from datetime import date, datetime, time, tzinfo
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Json, PlainValidator, ValidationError


class RefusedError(Exception):
    """The command ends without having started anything. The message says what to do."""


def _moment(text: str) -> date:
    for kind in (date, datetime):
        with suppress(ValueError):
            return kind.fromisoformat(text)
    raise ValueError(f"{text!r} is no date: write it as 2026-11-20 or 2026-11-20T06:00")


Moment = Annotated[date, PlainValidator(_moment)]


class Options(BaseModel):
    """The command line, checked as far as it can be without a look at the DAG. Fields are named as its options."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    dag_id: str
    start_date: Moment | None
    end_date: Moment | None
    rerun_failed_tasks: bool
    reset_dagruns: bool
    run_backwards: bool
    conf: Json[dict[str, Any]] | None
    max_active_runs: int
    max_failed_days: int
    continue_on_failures: bool
    dry_run: bool
    yes: bool

    @classmethod
    def of(cls, args: Namespace) -> Self:
        """The options given; one date alone is both. Raises RefusedError."""
        try:
            options = cls.model_validate(args)
        except ValidationError as error:
            problem = error.errors()[0]
            option = str(problem["loc"][0]).replace("_", "-")
            raise RefusedError(f"--{option}: {problem['msg'].removeprefix('Value error, ')}") from None
        first = options.start_date or options.end_date
        if first is None:
            raise RefusedError("which days? Give --start-date and --end-date; one of them alone means that one day")
        return options.model_copy(update={"start_date": first, "end_date": options.end_date or first})

    @property
    def reprocess(self) -> Literal["none", "failed", "completed"]:
        """Which days run that have a run, in Airflow's word."""
        return "completed" if self.reset_dagruns else "failed" if self.rerun_failed_tasks else "none"

    @property
    def range(self) -> str:
        """The range in words, a single day as that day."""
        return " to ".join(dict.fromkeys((str(self.start_date), str(self.end_date))))

    def bounds(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """The first and last moment of the range; a day without a time is the whole day. Raises RefusedError."""
        first, last = _at(self.start_date, time.min, zone), _at(self.end_date, time.max, zone)
        if first > last:
            raise RefusedError(f"the range is reversed: {self.range}")
        return first, last

    def asked(self, zone: tzinfo) -> tuple[Any, ...]:
        """What makes a backfill the one that these options ask for. The order of its days does not."""
        return (*self.bounds(zone), self.reprocess, self.max_active_runs, self.conf or None)


def _at(moment: date, default: time, zone: tzinfo) -> datetime:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, default)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
