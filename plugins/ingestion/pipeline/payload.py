"""The `runs/submit` payload of a job. Pure. Fields and their reasons: Databricks Jobs API 2.2, SubmitRun."""

from typing import Any

from ingestion.pipeline.settings import Settings

ENVIRONMENT = {"environment_key": "default", "spec": {"environment_version": "5"}}


def submit_payload(step: str, parameters: list[str], settings: Settings, performance: str) -> dict[str, Any]:
    """One run of `<step>.py` with these parameters, on the environment's compute, from its source of scripts.

    `performance` is the target where compute is serverless and the settings name none: PERFORMANCE_OPTIMIZED starts
    within seconds, STANDARD within minutes and costs less.
    Never retried by Databricks: a retry behind Airflow's back would be a second run of the same try.
    """
    task: dict[str, Any] = {
        "task_key": step,
        "spark_python_task": {"python_file": _python_file(step, settings), "parameters": parameters}
        | {"source": "GIT" if settings.git_url else "WORKSPACE"},
        "max_retries": 0,
        "timeout_seconds": settings.run_timeout_seconds,
    }
    payload: dict[str, Any] = {
        "tasks": [task],
        "timeout_seconds": settings.run_timeout_seconds,
        "queue": {"enabled": True},
    }
    if settings.is_serverless:
        # Without disable_auto_optimization serverless retries failed tasks whatever max_retries says.
        task |= {"environment_key": ENVIRONMENT["environment_key"], "disable_auto_optimization": True}
        payload |= {"environments": [ENVIRONMENT], "performance_target": performance}
    else:
        task |= settings.compute
    if settings.git_url and settings.git_ref:
        kind, _, ref = settings.git_ref.partition(":")
        payload["git_source"] = {"git_url": settings.git_url, "git_provider": settings.provider, f"git_{kind}": ref}
    return payload | settings.run_options.model_dump(exclude_none=True)


def _python_file(step: str, settings: Settings) -> str:
    return f"{settings.jobs.rstrip('/')}/{step}.py" if settings.jobs else f"spark_jobs/{step}.py"
