"""Whether Databricks lets the pipeline in and runs its scripts: a run of `check.py` looks at the rest inside."""

import json
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import requests
from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.databricks.exceptions import DatabricksApiError
from airflow.providers.databricks.hooks.databricks import DatabricksHook, RunState
from airflow.providers.databricks.utils.databricks import extract_failed_task_errors
from pydantic import TypeAdapter

from ingestion.pipeline.findings import Check, Finding, described, fail, ok
from ingestion.pipeline.job_output import results_of
from ingestion.pipeline.manifest import Manifest
from ingestion.pipeline.payload import submit_payload
from ingestion.pipeline.settings import Settings

# No workspace has a run of this number.
_NO_RUN = 2**62
_REQUEST_SECONDS = 30
# A cluster may take ten minutes to start.
RUN_SECONDS = 20 * 60
_GRACE_SECONDS = 60
_SHORTEST_PAUSE_SECONDS = 0.2
_PAUSE_SHARE = 0.05
_LOGIN = (401, 403)
_NOT_FOUND = (400, 404)
_FINDINGS = TypeAdapter(list[Finding])


def check_api(conn_id: str) -> Check[DatabricksHook | None]:
    """Whether the token is taken, by asking for a run that does not exist; returns the hook if it is."""
    name = f"Databricks, {conn_id}"
    hook = DatabricksHook(conn_id, timeout_seconds=_REQUEST_SECONDS, retry_limit=2, caller="IngestionCheck")
    try:
        hook.get_run(_NO_RUN)
    except DatabricksApiError as error:
        code, said = error.http_status_code, _said(error)
        if code in _LOGIN:
            yield fail(
                name,
                f"it refuses the login ({code}: {said}): renew the token, or the secret of the service principal, in "
                f"connection {conn_id}, and give the principal the entitlement Workspace access",
            )
            return None
        if code not in _NOT_FOUND or "error_code" not in str(error):
            yield fail(name, f"no workspace answers so ({code}: {said}): is the connection's host that of one?")
            return None
    except (AirflowException, requests.RequestException, OSError, ValueError) as error:
        yield fail(
            name, f"it cannot be asked ({described(error)}): see host and login of the connection, and the network"
        )
        return None
    yield ok(name, "it lets the connection in")
    return hook


def check_run(hook: DatabricksHook, settings: Settings, check_id: str, probe: str | None) -> Check[None]:
    """Run `check.py` as tasks run their jobs, and yield what it has found. `probe`: the URI of an object to read."""
    name = f"Databricks run, {hook.databricks_conn_id}"
    began = time.monotonic()
    try:
        run_id = hook.submit_run(_payload(settings, check_id, probe))
    except DatabricksApiError as error:
        yield fail(
            name, f"it is refused ({_said(error)}): see INGESTION_COMPUTE, INGESTION_RUN_OPTIONS and the scripts"
        )
        return
    try:
        run = _ended(hook, run_id, settings.run_poll_seconds)
    except TimeoutError as error:
        yield fail(name, f"{error}. It was cancelled: see there what it waits for, compute that does not start perhaps")
        return
    state = RunState(**run["state"])
    page = run["run_page_url"]
    if not state.is_successful:
        errors = [str(item["error"]) for item in extract_failed_task_errors(hook, run, state)]
        yield fail(
            name,
            f"{state.result_state or state.life_cycle_state}: {'; '.join(errors) or state.state_message} ({page}). The "
            "scripts must be there in this version, which has a check.py, and the compute as docs/production.md has it",
        )
        return
    yield ok(name, f"succeeded within {time.monotonic() - began:.0f} s ({page})")
    yield from _inside(hook, run, check_id)


def _payload(settings: Settings, check_id: str, probe: str | None) -> dict[str, Any]:
    parameters = ["--check-id", check_id, "--schema", settings.schema_name, *(["--probe", probe] if probe else [])]
    within = settings.model_copy(update={"run_timeout_seconds": RUN_SECONDS})
    payload = submit_payload("check", parameters, within, "PERFORMANCE_OPTIMIZED")
    return payload | {"run_name": f"ingestion check {check_id}", "idempotency_token": f"check-{check_id}"}


def _ended(hook: DatabricksHook, run_id: int, longest_pause: float) -> dict[str, Any]:
    """The run when it is over. It is cancelled when it cannot be waited for, as by an interruption."""
    began = time.monotonic()
    try:
        while True:
            run = hook.get_run(run_id)
            waited = time.monotonic() - began
            if RunState(**run["state"]).is_terminal:
                return run
            if waited > RUN_SECONDS + _GRACE_SECONDS:
                raise TimeoutError(f"it is not over after {waited:.0f} s ({run['run_page_url']})")
            time.sleep(min(longest_pause, max(_SHORTEST_PAUSE_SECONDS, waited * _PAUSE_SHARE)))
    except BaseException:
        with suppress(AirflowException, requests.RequestException):  # what ends the wait must not be lost
            hook.cancel_run(run_id)
        raise


def _inside(hook: DatabricksHook, run: dict[str, Any], check_id: str) -> Generator[Finding, None, None]:
    """What the job has found."""
    logs = hook.get_run_output(run["tasks"][0]["run_id"]).get("logs") or ""
    results = results_of(check_id, logs)
    if not results:
        yield fail("Databricks run, output", "it has printed no result: see its page whether output is kept at all")
        return
    result = results[-1]
    yield from _FINDINGS.validate_python(result["findings"])
    ours, theirs = Manifest.model_fields["version"].default, result["manifest_versions"]
    if ours in theirs:
        yield ok("scripts", f"they read manifests of version {ours}, which this package writes")
    else:
        read = ", ".join(map(str, theirs))
        yield fail(
            "scripts",
            f"they read manifests of version {read}, this package writes {ours}: have INGESTION_GIT_REF or the "
            "folder of INGESTION_JOBS be of the version of the package",
        )


def _said(error: DatabricksApiError) -> str:
    """What Databricks itself said, of the provider's "Response: {json}, Status Code: n"."""
    text = str(error).removeprefix("Response: ").rpartition(", Status Code: ")[0]
    try:
        return str(json.loads(text)["message"]).rstrip(".")
    except (ValueError, TypeError, KeyError):
        return text[:200]
