"""The routes about jobs and their runs. What a run is asked about afterwards has the routes of every run."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from local.databricks import views
from local.databricks.errors import ApiError
from local.databricks.job_models import JobRef, JobSettings, RepairRun, RunNow
from local.databricks.job_validation import (
    job_mistakes,
    job_refusals,
    repair_mistakes,
    request_refusals,
    run_now_mistakes,
)
from local.databricks.jobs import Job
from local.databricks.service import JobsService


def job_routes(service: JobsService) -> APIRouter:
    """`jobs/create`, `get`, `delete`, `run-now` and `runs/repair`."""
    router = APIRouter()

    @router.post("/create")
    async def create(body: JobSettings) -> dict[str, int]:
        if found := job_mistakes(body):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "; ".join(found))
        _refuse(job_refusals(body))
        return {"job_id": service.jobs.create(body).job_id}

    @router.get("/get")
    async def get(ref: Annotated[JobRef, Query()]) -> dict[str, Any]:
        return views.job_view(_find(service, ref.job_id))

    @router.post("/delete")
    async def delete(ref: JobRef) -> dict[str, Any]:
        service.jobs.delete(_find(service, ref.job_id))
        return {}

    @router.post("/run-now")
    async def run_now(body: RunNow) -> dict[str, int]:
        job = _find(service, body.job_id)
        if found := run_now_mistakes(job.settings, body):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "; ".join(found))
        _refuse(request_refusals(body))
        run = service.run_now(job, body.job_parameters, "ONE_TIME", body.idempotency_token)
        return {"run_id": run.run_id, "number_in_job": run.run_id}

    @router.post("/runs/repair")
    async def repair(body: RepairRun) -> dict[str, int]:
        run, task = service.store.find(body.run_id) or (None, None)
        if run is None or task is not None or run.job is None:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Run {body.run_id} is no run of a job.")
        if found := repair_mistakes(run, body):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "; ".join(found))
        _refuse(request_refusals(body))
        return {"repair_id": service.repair(run, run.to_repair(body.rerun_tasks, body.rerun_dependent_tasks))}

    return router


def _refuse(found: list[str]) -> None:
    if found:
        raise ApiError(400, "FEATURE_DISABLED", f"the local service cannot carry out: {'; '.join(found)}")


def _find(service: JobsService, job_id: int) -> Job:
    job = service.jobs.find(job_id)
    if job is None:
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Job {job_id} does not exist.")
    return job
