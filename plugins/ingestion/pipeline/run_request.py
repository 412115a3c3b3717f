"""What a run is asked to load: by its kind, and by the fields of the trigger form (`--conf` on a command line)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

RunType = Literal["scheduled", "manual", "backfill"]


class RunRequestError(ValueError):
    """A form filled in so that no run can be made of it. The message names the field."""


@dataclass(frozen=True)
class Days:
    """The days from the first to the last, both included."""

    first: date
    last: date

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    reload_from: date | None = None
    reload_to: date | None = None
    max_files: int | None = Field(default=None, gt=0)
    again_rejected: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.reload_from and self.reload_to and self.reload_from > self.reload_to:
            raise ValueError(f"reload_from ({self.reload_from}) is after reload_to ({self.reload_to})")
        return self

    @model_validator(mode="after")
    def _rejected_ones_by_days(self) -> Self:
        if self.again_rejected and self.max_files:
            # They stay where they are if they are rejected again: the same oldest would be tried for ever.
            raise ValueError("again_rejected takes no max_files: narrow it by reload_from and reload_to")
        return self


@dataclass(frozen=True)
class RunRequest:
    """`days` is None for what is in `source/`; `max_files` None for the feed's own limit, or in a reload for none.

    With `again_rejected` it is about rejected files: those of `days`, or all.
    """

    run_type: RunType
    days: Days | None
    max_files: int | None
    again_rejected: bool = False

    @property
    def reload(self) -> bool:
        """Whether certain files are asked for again: all of them, or the run fails."""
        return self.days is not None or self.again_rejected

    def __str__(self) -> str:
        files = "rejected files" if self.again_rejected else "files"
        return f"the {files} of {self.days}" if self.days else f"all {files}" if self.again_rejected else "new files"


def run_request(run_type: str, logical_date: datetime | None, params: Mapping[str, Any]) -> RunRequest:
    """What this run is to load. Raises RunRequestError.

    A live run takes what is there, a backfill run its day (UTC), a manual run either what is there or what its form
    says: days, where one date alone means that one day, or rejected files.
    """
    try:
        form = _Form.model_validate(dict(params))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, item['loc']))} {item['msg']}".strip() for item in error.errors())
        raise RunRequestError(f"The run's parameters cannot be used: {'; '.join(problems)}") from error
    first = form.reload_from or form.reload_to
    last = form.reload_to or form.reload_from
    if run_type == "backfill":
        if first or form.again_rejected:
            raise RunRequestError(
                "A backfill run loads its own day: leave reload_from, reload_to and again_rejected out of its conf"
            )
        if logical_date is None:
            raise RunRequestError("A backfill run without a logical date: its day is unknown")
        first = last = logical_date.astimezone(UTC).date()
    kind: RunType = run_type if run_type in ("scheduled", "backfill") else "manual"
    days = Days(first, last) if first and last else None
    return RunRequest(kind, days, form.max_files, form.again_rejected)
