"""Dynamic value references `{{...}}` in the parameters of a job's tasks. Pure.

Source: Databricks documentation, "What is a dynamic value reference?". Those named here are carried out; any other one
is refused, as Databricks would pass it on as it is where it does not know it.
"""

import re
from collections.abc import Iterable

from local.databricks.run import Run

_REFERENCE = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_OF_JOB = ("job.id", "job.name", "job.run_id", "job.repair_count", "job.trigger.type")


def unknown(text: str, parameters: Iterable[str], tasks: Iterable[str]) -> list[str]:
    """The references in a text that cannot be resolved for a job with these parameters and tasks."""
    known = {
        *_OF_JOB,
        *(f"job.parameters.{name}" for name in parameters),
        *(f"tasks.{key}.result_state" for key in tasks),
    }
    return [f"{{{{{name}}}}}" for name in _REFERENCE.findall(text) if name not in known]


def resolved(text: str, run: Run) -> str:
    """The text as a task of this run gets it when it begins."""
    return _REFERENCE.sub(lambda found: values(run)[found[1]], text)


def values(run: Run) -> dict[str, str]:
    """What each reference stands for now. The result of a task is in small letters, and empty while it has none."""
    if run.job is None:
        return {}
    return {
        "job.id": str(run.job.job_id),
        "job.name": run.request.run_name,
        "job.run_id": str(run.run_id),
        "job.repair_count": str(len(run.repairs)),
        "job.trigger.type": run.job.trigger.lower(),
        **{f"job.parameters.{name}": value for name, value in run.job.parameters.items()},
        **{f"tasks.{task.key}.result_state": (task.state.result or "").lower() for task in run.tasks},
    }
