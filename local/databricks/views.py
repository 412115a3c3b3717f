"""Runs as the API shows them."""

from typing import Any

from local.databricks.jobs import Job
from local.databricks.models import ListRuns
from local.databricks.run import Run, TaskRun
from local.databricks.runs import LogPart
from local.databricks.states import State

MAX_PAGE = 25


def state_view(state: State) -> dict[str, Any]:
    """The legacy `state` object; `result_state` is there only when it is known."""
    view: dict[str, Any] = {
        "life_cycle_state": state.life_cycle,
        "state_message": state.message,
        "user_cancelled_or_timedout": state.result in ("CANCELED", "TIMEDOUT"),
    }
    return view | ({"result_state": state.result} if state.result else {})


def status_view(state: State) -> dict[str, Any]:
    """The newer `status` object."""
    if not state.over:
        return {"state": state.life_cycle}
    kinds = {
        "SUCCESS": "SUCCESS",
        "SUCCESS_WITH_FAILURES": "SUCCESS",
        "INTERNAL_ERROR": "INTERNAL_ERROR",
        "DRIVER_ERROR": "CLOUD_FAILURE",
    }
    details = {"code": state.code, "type": kinds.get(state.code, "CLIENT_ERROR"), "message": state.message}
    return {"state": "TERMINATED", "termination_details": details}


def job_view(job: Job) -> dict[str, Any]:
    """A job as `jobs/get` returns it."""
    settings = job.settings.model_dump(mode="json", exclude_unset=True)
    return {"job_id": job.job_id, "created_time": job.created_at, "creator_user_name": "local", "settings": settings}


def run_view(run: Run, base_url: str, *, tasks: bool = True, history: bool = False) -> dict[str, Any]:
    """A run as `runs/get` and, without `tasks`, `runs/list` return it; with `history`, its repairs."""
    view = _common(run, run.state, f"{base_url}/runs/{run.run_id}") | {
        "run_id": run.run_id,
        "number_in_job": run.run_id,
        "original_attempt_run_id": run.run_id,
        "start_time": run.started_at,
        "setup_duration": 0,
        "execution_duration": 0,
        "end_time": run.ended_at or 0,
    }
    if run.ended_at:
        view["run_duration"] = run.ended_at - run.started_at
    if tasks:
        view["tasks"] = [task_view(run, task, base_url) for task in run.tasks]
    if history:
        view["repair_history"] = _history(run)
    return view


def _history(run: Run) -> list[dict[str, Any]]:
    """The run as it began, and each repair."""
    repeated = {run_id for repair in run.repairs for run_id in repair.task_run_ids}
    first = [task.run_id for task in (*run.former, *run.tasks) if task.run_id not in repeated]
    return [
        {"type": "ORIGINAL", "start_time": run.started_at, "task_run_ids": first},
        *(
            {"type": "REPAIR", "id": one.repair_id, "start_time": one.started_at, "task_run_ids": one.task_run_ids}
            for one in run.repairs
        ),
    ]


def list_view(runs: list[Run], query: ListRuns, base_url: str) -> dict[str, Any]:
    """A page of `runs`, which come newest first. A page's token is the id of its first run."""
    wanted = [run for run in runs if _matches(run, query) and run.run_id <= (query.page_token or run.run_id)]
    wanted = wanted[query.offset :]
    limit = query.limit or MAX_PAGE
    view: dict[str, Any] = {
        "runs": [run_view(run, base_url, tasks=query.expand_tasks) for run in wanted[:limit]],
        "has_more": len(wanted) > limit,
    }
    return view | ({"next_page_token": str(wanted[limit].run_id)} if len(wanted) > limit else {})


def _matches(run: Run, query: ListRuns) -> bool:
    return (
        (not query.active_only or not run.state.over)
        and (not query.completed_only or run.state.over)
        and query.job_id in (None, _job_id(run))
        and query.run_type in (None, _run_type(run))
        and query.start_time_from <= run.started_at <= (query.start_time_to or run.started_at)
    )


def task_view(run: Run, task: TaskRun, base_url: str) -> dict[str, Any]:
    """An entry of `tasks`: the task as it was submitted, and its run."""
    return (
        run.submitted(task).model_dump(exclude_unset=True)
        | _times(task)
        | {
            "run_id": task.run_id,
            "attempt_number": task.attempt,
            "state": state_view(task.state),
            "status": status_view(task.state),
            "run_page_url": f"{base_url}/runs/{task.run_id}",
        }
    )


def task_run_view(run: Run, task: TaskRun, base_url: str) -> dict[str, Any]:
    """A task's run as a run of its own: `metadata` of get-output, or `runs/get` with the task's run id."""
    return (
        _common(run, task.state, f"{base_url}/runs/{task.run_id}")
        | _times(task)
        | {
            "run_id": task.run_id,
            "number_in_job": task.run_id,
            "original_attempt_run_id": task.run_id,
            "attempt_number": task.attempt,
            "tasks": [task_view(run, task, base_url)],
        }
    )


def output_view(run: Run, task: TaskRun, base_url: str, log: LogPart) -> dict[str, Any]:
    """The output of a task's run; `error` and `error_trace` are there only for one that failed."""
    view = {"metadata": task_run_view(run, task, base_url), "logs": log.text, "logs_truncated": log.truncated}
    if task.started_run_id:
        view["run_job_output"] = {"run_id": task.started_run_id}
    errors = {"error": task.error, "error_trace": task.error_trace}
    return view | {name: text for name, text in errors.items() if text is not None}


def _common(run: Run, state: State, url: str) -> dict[str, Any]:
    source = run.request.git_source
    snapshot = {"git_snapshot": {"used_commit": run.commit}} if run.commit else {}
    git = {"git_source": source.model_dump(exclude_unset=True) | snapshot} if source else {}
    parameters = (
        [
            {"name": name, "default": run.job.defaults[name], "value": value}
            for name, value in run.job.parameters.items()
        ]
        if run.job
        else []
    )
    return (
        git
        | ({"job_parameters": parameters} if parameters else {})
        | {
            "job_id": _job_id(run),
            "job_run_id": run.run_id,
            "run_name": run.request.run_name,
            "run_type": _run_type(run),
            "trigger": run.job.trigger if run.job else "ONE_TIME",
            "creator_user_name": "local",
            "run_page_url": url,
            "cleanup_duration": 0,
            "state": state_view(state),
            "status": status_view(state),
        }
    )


def _job_id(run: Run) -> int:
    return run.job.job_id if run.job else run.run_id


def _run_type(run: Run) -> str:
    return "JOB_RUN" if run.job else "SUBMIT_RUN"


def _times(task: TaskRun) -> dict[str, int]:
    begin, end = task.executing_at, task.ended_at
    return {
        "start_time": task.started_at,
        "setup_duration": (begin or end or task.started_at) - task.started_at,
        "execution_duration": end - begin if begin and end else 0,
        "cleanup_duration": 0,
        "end_time": end or 0,
    }
