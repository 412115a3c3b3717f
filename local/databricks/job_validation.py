"""What is wrong with requests about jobs, and what of a sound one cannot be carried out here. Pure."""

from collections.abc import Mapping
from typing import Any

from databricks.bundles.jobs import Job as DescribedJob
from pydantic import ValidationError

from local.databricks.job_models import REFUSED, JobSettings, RepairRun, RunNow
from local.databricks.models import SubmitRun
from local.databricks.references import unknown
from local.databricks.run import Run
from local.databricks.validation import mistakes, refusals

# Fields of jobs/create that are none of a bundle's, which has `permissions` in the place of the first.
_OF_API = ("access_control_list", "deployment", "edit_mode", "format")


def job_mistakes(settings: JobSettings) -> list[str]:
    """What Databricks itself would not accept of a job."""
    sent = settings.model_dump(mode="json", exclude_unset=True)
    try:
        DescribedJob.from_dict({name: value for name, value in sent.items() if name not in _OF_API})
        run = settings.as_run()
    except ValidationError as error:
        return [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    except (TypeError, ValueError) as error:
        return [str(error)]
    names = [parameter.name for parameter in settings.parameters]
    found = [f"parameter {name!r} is used twice" for name in sorted(set(names)) if names.count(name) > 1]
    if settings.schedule and settings.trigger:
        found.append("only one of schedule, trigger and continuous may be set")
    return found + mistakes(run)


def job_refusals(settings: JobSettings) -> list[str]:
    """What Databricks would carry out of a job and this service cannot, by name of the field."""
    found = [name for name in ("continuous", "job_clusters", "triggers") if getattr(settings, name)]
    for name in ("schedule", "trigger"):
        started: Mapping[str, Any] = getattr(settings, name) or {}
        if started and started.get("pause_status") != "PAUSED":
            found.append(f"{name} that is not PAUSED (no run begins by itself here: use run-now)")
    found += [f"tasks.{task.task_key}.job_cluster_key" for task in settings.tasks if task.job_cluster_key]
    run = settings.as_run()
    return found + refusals(run, of_job=True) + _unknown_references(settings, run)


def _unknown_references(settings: JobSettings, run: SubmitRun) -> list[str]:
    parameters = [parameter.name for parameter in settings.parameters]
    keys = [task.task_key for task in settings.tasks]
    return [
        f"tasks.{task.task_key}: {name}"
        for task in run.tasks
        for text in task.texts
        for name in unknown(text, parameters, keys)
    ]


def run_now_mistakes(settings: JobSettings, body: RunNow) -> list[str]:
    """What Databricks itself would not accept of a run of the job."""
    known = {parameter.name for parameter in settings.parameters}
    return [f"job_parameters: the job has no parameter {name!r}" for name in sorted(body.job_parameters.keys() - known)]


def repair_mistakes(run: Run, body: RepairRun) -> list[str]:
    """What Databricks itself would not accept of a repair of this run."""
    if not run.state.over:
        return [f"Run {run.run_id} is in progress: only a run that is over can be repaired"]
    found = [f"rerun_tasks: the run has no task {key!r}" for key in body.rerun_tasks if key not in run.keys]
    if bool(body.rerun_tasks) == body.rerun_all_failed_tasks:
        found.append("exactly one of rerun_tasks and rerun_all_failed_tasks is needed")
    if run.repairs and body.latest_repair_id != run.repairs[-1].repair_id:
        found.append(f"latest_repair_id must be {run.repairs[-1].repair_id}, that of the latest repair of this run")
    return found


def request_refusals(body: RunNow | RepairRun) -> list[str]:
    """What cannot be carried out of a run or repair that is asked for, by name of the field."""
    return [name for name in (*REFUSED, "job_parameters") if getattr(body, name, None) and name not in _taken(body)]


def _taken(body: RunNow | RepairRun) -> tuple[str, ...]:
    return ("job_parameters",) if isinstance(body, RunNow) else ()
