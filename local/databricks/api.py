"""The REST API: Jobs 2.2, one-time runs and, in job_api.py, jobs. Every other route answers 501 with its name."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import ValidationError
from starlette.middleware.trustedhost import TrustedHostMiddleware

from local.databricks import page, views
from local.databricks.errors import ApiError
from local.databricks.job_api import job_routes
from local.databricks.models import ListRuns, RunRef, SubmitRun
from local.databricks.run import Run, TaskRun
from local.databricks.runs import MAX_LOG_BYTES
from local.databricks.service import JobsService
from local.databricks.validation import mistakes, refusals

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]


def create_app(service: JobsService, token: str, base_url: str, host: str) -> FastAPI:
    """The application; `token` is the one bearer token, `base_url` how browsers reach it, `host` its name."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(title="Databricks Jobs, local", lifespan=lifespan, openapi_url=None, strict_content_type=False)
    app.middleware("http")(_with_headers)
    # The run pages need no token: a foreign page must not reach them under a name of its own.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", host])
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.include_router(_pages(service, base_url))
    known = [Depends(_bearer(token))]
    app.include_router(_runs(service, base_url), prefix="/api/2.2/jobs/runs", dependencies=known)
    app.include_router(job_routes(service), prefix="/api/2.2/jobs", dependencies=known)

    @app.api_route("/{route:path}", methods=METHODS, dependencies=[Depends(_bearer(token))])
    async def everything_else(request: Request) -> None:
        raise ApiError(
            501, "NOT_IMPLEMENTED", f"{request.method} {request.url.path} is not implemented by the local service"
        )

    return app


async def _with_headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answer(request)
    response.headers.update(page.HEADERS)
    return response


def _runs(service: JobsService, base_url: str) -> APIRouter:
    router = APIRouter()

    @router.post("/submit")
    async def submit(body: SubmitRun) -> dict[str, int]:
        if found := mistakes(body):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "; ".join(found))
        if found := refusals(body):
            raise ApiError(400, "FEATURE_DISABLED", f"the local service cannot carry out: {'; '.join(found)}")
        return {"run_id": service.submit(body).run_id}

    @router.get("/get")
    async def get(ref: Annotated[RunRef, Depends(_run_ref)]) -> dict[str, Any]:
        run, task = _find(service, ref.run_id)
        if task:
            return views.task_run_view(run, task, base_url)
        return views.run_view(run, base_url, history=ref.include_history)

    @router.get("/get-output")
    async def get_output(ref: Annotated[RunRef, Depends(_run_ref)]) -> dict[str, Any]:
        run, task = _find(service, ref.run_id)
        if not task:
            raise ApiError(
                400,
                "INVALID_PARAMETER_VALUE",
                "Retrieving the output of runs with multiple tasks is not supported. "
                "Please retrieve the output of each individual task run instead.",
            )
        return views.output_view(run, task, base_url, service.store.read_log(task, MAX_LOG_BYTES))

    @router.get("/list")
    async def list_runs(query: Annotated[ListRuns, Query()]) -> dict[str, Any]:
        return views.list_view(service.store.newest_first(), query, base_url)

    @router.post("/cancel")
    async def cancel(ref: Annotated[RunRef, Depends(_run_ref)]) -> dict[str, Any]:
        run, _ = _find(service, ref.run_id)
        service.cancel(run)
        return {}

    return router


def _pages(service: JobsService, base_url: str) -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    async def health() -> JSONResponse:
        spark = await service.engine.alive()
        return JSONResponse({"status": "ok" if spark else "not ready", "spark": spark}, 200 if spark else 503)

    @router.get("/runs/{run_id}")
    async def run_page(run_id: int) -> HTMLResponse:
        run, task = _find(service, run_id)
        if task is None and len(run.tasks) > 1:
            return HTMLResponse(page.run_page(run))
        task = task or run.tasks[0]
        return HTMLResponse(page.task_page(run, task, service.store.read_log(task, page.LOG_BYTES)))

    @router.get("/runs/{run_id}/log")
    async def more_log(run_id: int, since: Annotated[int, Query(ge=0)]) -> dict[str, Any]:
        run, task = _find(service, run_id)
        task = task or run.tasks[0]
        part = service.store.read_log(task, page.LOG_BYTES, since)
        gap = "\n[...]\n" if part.truncated else ""
        return {"text": gap + part.text, "end": part.end, "state": page.state_name(task.state)}

    @router.get("/")
    async def index() -> HTMLResponse:
        return HTMLResponse(page.index_page(service.store.newest_first()[: page.INDEX_RUNS]))

    return router


def _bearer(token: str) -> Any:  # noqa: ANN401 - a FastAPI dependency
    scheme = HTTPBearer(auto_error=False)

    def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(scheme)]) -> None:
        if credentials is None:
            message = "Credential was not sent or was of an unsupported type for this API."
            raise ApiError(401, 401, message)
        if not secrets.compare_digest(credentials.credentials.encode(), token.encode()):
            raise ApiError(403, 403, "Invalid access token.")

    return check


async def _run_ref(request: Request) -> RunRef:
    """The run a request names, in the query or in a JSON body: Airflow's async hook sends GET with a body."""
    body = await request.body()
    try:
        return RunRef.model_validate_json(body) if body else RunRef.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _find(service: JobsService, run_id: int) -> tuple[Run, TaskRun | None]:
    found = service.store.find(run_id)
    if found is None:
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Run {run_id} does not exist.")
    return found


async def _answer_error(_: Request, error: ApiError) -> JSONResponse:
    return JSONResponse({"error_code": error.code, "message": str(error)}, error.status)


async def _answer_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    found = [f"{'.'.join(str(part) for part in one['loc'] if part != 'body')}: {one['msg']}" for one in error.errors()]
    return JSONResponse({"error_code": "MALFORMED_REQUEST", "message": "; ".join(found)}, 400)
