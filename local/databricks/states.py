"""The states of runs and of their tasks, in the words of the API."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from local.databricks.models import RunIf

FAILED_MESSAGE = "Workload failed, see run output for details"


class State(BaseModel):
    """A state: legacy `state` (life cycle, result, message) and, as `code`, the newer `status`."""

    model_config = ConfigDict(frozen=True)

    life_cycle: Literal[
        "QUEUED", "PENDING", "BLOCKED", "RUNNING", "TERMINATING", "TERMINATED", "SKIPPED", "INTERNAL_ERROR"
    ]
    result: (
        Literal[
            "SUCCESS",
            "FAILED",
            "TIMEDOUT",
            "CANCELED",
            "UPSTREAM_FAILED",
            "EXCLUDED",
            "SUCCESS_WITH_FAILURES",
            "MAXIMUM_CONCURRENT_RUNS_REACHED",
        ]
        | None
    ) = None
    message: str = ""
    code: (
        Literal[
            "SUCCESS",
            "SUCCESS_WITH_FAILURES",
            "RUN_EXECUTION_ERROR",
            "CANCELED",
            "USER_CANCELED",
            "SKIPPED",
            "MAX_CONCURRENT_RUNS_EXCEEDED",
            "INTERNAL_ERROR",
            "DRIVER_ERROR",
            "REPOSITORY_CHECKOUT_FAILED",
            "RESOURCE_NOT_FOUND",
        ]
        | None
    ) = None

    @property
    def over(self) -> bool:
        """Whether it is final."""
        return self.life_cycle in ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")

    @property
    def good(self) -> bool:
        """Whether what comes after may go on: a task whose condition did not hold counts as successful."""
        return self.result in ("SUCCESS", "EXCLUDED")


PENDING = State(life_cycle="PENDING", message="Waiting for a Python process")
QUEUED = State(life_cycle="QUEUED", message="Waiting for the runs of its job that are under way")
BLOCKED = State(life_cycle="BLOCKED", message="Waiting for the tasks it depends on")
RUNNING = State(life_cycle="RUNNING", message="In run")
TERMINATING = State(life_cycle="TERMINATING", message="Terminating the script and its Spark session")
SUCCEEDED = State(life_cycle="TERMINATED", result="SUCCESS", code="SUCCESS")
SUCCEEDED_WITH_FAILURES = State(life_cycle="TERMINATED", result="SUCCESS_WITH_FAILURES", code="SUCCESS_WITH_FAILURES")
FAILED = State(life_cycle="TERMINATED", result="FAILED", message=FAILED_MESSAGE, code="RUN_EXECUTION_ERROR")
CANCELED = State(life_cycle="TERMINATED", result="CANCELED", message="Run cancelled.", code="USER_CANCELED")
UPSTREAM_FAILED = State(
    life_cycle="SKIPPED", result="UPSTREAM_FAILED", message="An upstream task failed.", code="SKIPPED"
)
TOO_MANY_RUNS = State(
    life_cycle="SKIPPED",
    result="MAXIMUM_CONCURRENT_RUNS_REACHED",
    message="Skipped, as its job has as many runs under way as it may have.",
    code="MAX_CONCURRENT_RUNS_EXCEEDED",
)
EXCLUDED = State(life_cycle="SKIPPED", result="EXCLUDED", message="Its condition run_if did not hold.", code="SKIPPED")


def timed_out(seconds: int) -> State:
    """The state of a run that was stopped because it took too long."""
    return State(
        life_cycle="TERMINATED",
        result="TIMEDOUT",
        message=f"Run timed out after {seconds} seconds (timeout_seconds).",
        code="CANCELED",
    )


def internal_error(
    message: str,
    code: Literal[
        "INTERNAL_ERROR", "DRIVER_ERROR", "REPOSITORY_CHECKOUT_FAILED", "RESOURCE_NOT_FOUND"
    ] = "INTERNAL_ERROR",
) -> State:
    """The state of a run that ended for a reason outside its script."""
    return State(life_cycle="INTERNAL_ERROR", result="FAILED", message=message, code=code)


def skipped(run_if: RunIf, upstream: Sequence[State]) -> State | None:
    """The state of a task that must not begin after tasks that ended so, None if it may.

    Source: Databricks documentation, "Configure task dependencies" (Run if).
    """
    if not upstream:
        return None
    if all(state.result == "EXCLUDED" for state in upstream):
        return EXCLUDED
    good = [state.good for state in upstream]
    may_begin = {
        "ALL_SUCCESS": all(good),
        "NONE_FAILED": all(good),
        "AT_LEAST_ONE_SUCCESS": any(good),
        "ALL_DONE": True,
        "AT_LEAST_ONE_FAILED": not all(good),
        "ALL_FAILED": not any(good),
    }[run_if]
    if may_begin:
        return None
    return EXCLUDED if run_if in ("AT_LEAST_ONE_FAILED", "ALL_FAILED") else UPSTREAM_FAILED
