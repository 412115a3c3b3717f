"""`stage` and `merge`: one Databricks run per batch and step, whatever happens to the task that submits it."""

import re
import time
from typing import Any

import requests
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred
from airflow.providers.databricks.hooks.databricks import DatabricksHook, RunState
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator
from airflow.providers.databricks.utils.databricks import extract_failed_task_errors
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from ingestion import alerts
from ingestion.pipeline.job_output import results_of
from ingestion.tasks.patience import OutageError, is_outage
from ingestion.tasks.run_trigger import RunTrigger

# Types of a run's termination, in Jobs API 2.2, that are nobody's mistake.
PLATFORM_FAULTS = ("INTERNAL_ERROR", "CLOUD_FAILURE")
# How a job begins its message when no later try of the same would do: ingestion_jobs.errors.RefusedError.
REFUSED = re.compile(r"\bRefusedError: ")
# More finished runs of one step of one batch than anybody clears by hand.
MAX_SUBMISSIONS = 100
# Between two looks at a run from its worker: at first this, later a share of the time waited so far, so that a long
# wait costs few requests and adds little to any run.
SHORTEST_PAUSE_SECONDS = 0.2
PAUSE_SHARE = 0.05


class RefusedError(AirflowFailException):
    """A job has refused its work, and would refuse it again. The message is the job's own."""


class SubmitOnceHook(DatabricksHook):
    """Submit with the token (batch, step, n), n = 0, 1, ...: at most one run of a step is active.

    The API answers a known token with the run it has, whatever its state. An active one is taken over: its task was
    lost. A finished one was some earlier try's, so the next n is asked for.
    """

    def submit_run(self, json: dict[str, Any]) -> int:
        """Return the id of this try's run, new or taken over."""
        for n in range(MAX_SUBMISSIONS):
            run_id = super().submit_run(json | {"idempotency_token": f"{json['idempotency_token']}-{n}"})
            run = self.get_run(run_id)
            # The name carries the try: a run of this name is ours even if it is over already.
            if run["run_name"] == json["run_name"] or not RunState(**run["state"]).is_terminal:
                return run_id
        raise AirflowException(f"{json['run_name']}: {MAX_SUBMISSIONS} runs of this step are over; plan the batch anew")


class SubmitJobOperator(DatabricksSubmitRunOperator):
    """Run a job on Databricks and return the counts it printed as `INGESTION_RESULT {json}`.

    The run is waited for in the worker for `wait_seconds`, then deferred. A deferral and the worker that ends the task
    after it cost some seconds: much for a run that takes no longer, nothing for one of minutes, which would hold the
    worker.

    :param batch_id: of the batch the job works on (templated); counts of another batch are not taken for this one's
    :param wait_seconds: time to wait in the worker; 0 defers at once
    """

    template_fields = (*DatabricksSubmitRunOperator.template_fields, "batch_id")

    def __init__(self, *, batch_id: str, wait_seconds: float = 0, **kwargs: Any) -> None:
        super().__init__(deferrable=True, **kwargs)
        self.batch_id = batch_id
        self.wait_seconds = wait_seconds
        self._counts: dict[str, Any] | None = None

    def _get_hook(self, caller: str) -> DatabricksHook:
        return SubmitOnceHook(
            self.databricks_conn_id,
            retry_limit=self.databricks_retry_limit,
            retry_delay=self.databricks_retry_delay,
            retry_args=self.databricks_retry_args,
            caller=caller,
        )

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Submit, wait and defer; when the run is over by then, return its counts."""
        try:
            super().execute(context)  # drops what execute_complete returns
        except TaskDeferred as error:
            deferral = error  # goes on below: a failure of the run is none "while handling" the deferral
        else:
            return self._counts
        run = self._wait()
        if run is None:
            deferral.trigger = RunTrigger.like(deferral.trigger)
            raise deferral
        state = RunState(**run["state"])
        event = {  # as the trigger's
            "run_id": self.run_id,
            "run_page_url": deferral.trigger.run_page_url,
            "run_state": state.to_json(),
            "errors": extract_failed_task_errors(self._hook, run, state),
        }
        return self.execute_complete(context, event)

    def _wait(self) -> dict[str, Any] | None:
        """The run when it is over, None when it is not within `wait_seconds`. `on_kill` cancels it meanwhile."""
        started = time.monotonic()
        while (waited := time.monotonic() - started) < self.wait_seconds:
            pause = max(SHORTEST_PAUSE_SECONDS, waited * PAUSE_SHARE)
            time.sleep(min(pause, self.wait_seconds - waited))
            run = self._hook.get_run(self.run_id)
            if RunState(**run["state"]).is_terminal:
                return run
        return None

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any] | None:
        """Fail with the job's own words, or return its counts. Missing counts change no outcome."""
        if "message" in event:
            raise (OutageError if event["is_outage"] else AirflowException)(event["message"])
        state = RunState.from_json(event["run_state"])
        if not state.is_successful:
            message = _failure(self.task_id, state, event)
            if REFUSED.search(message):
                raise RefusedError(message)
            raise (OutageError if self._is_fault_of_platform(event["run_id"]) else AirflowException)(message)
        self._counts = self._result(event["run_id"])
        if self._counts:
            self.log.info("Counts: %s", self._counts)
        else:
            subject = f"{self.dag_id}: the counts of a {self.task_id} cannot be read"
            alerts.tell(
                context,
                subject,
                [
                    f"The run of batch {self.batch_id} has succeeded, and its rows are safe: {event['run_page_url']}",
                    "Nobody can be told of bad rows in it. The table ingestion_log counts every batch that is merged.",
                ],
            )
        return self._counts

    def _is_fault_of_platform(self, run_id: int) -> bool:
        """Whether the run ended for Databricks' own reasons, as the loss of its cluster, and not for the job's."""
        try:
            status = self._hook.get_run(run_id).get("status", {})
        except (AirflowException, requests.RequestException) as error:
            self.log.warning("It cannot be asked why the run failed: %r", error)
            return is_outage(error)
        return status.get("termination_details", {}).get("type") in PLATFORM_FAULTS

    def _result(self, run_id: int) -> dict[str, Any] | None:
        try:
            # The output is the task run's, also of a run of one task.
            task_run = self._hook.get_run(run_id)["tasks"][0]["run_id"]
            logs = self._hook.get_run_output(task_run).get("logs") or ""
            mine = results_of(self.batch_id, logs)
        except (AirflowException, requests.RequestException, LookupError, ValueError) as error:
            self.log.warning("The run succeeded but its output cannot be read, so there are no counts: %r", error)
            return None
        if not mine:
            self.log.warning("The run succeeded but printed no INGESTION_RESULT of this batch, so there are no counts")
        return mine[-1] if mine else None


def _failure(task_id: str, state: RunState, event: dict[str, Any]) -> str:
    errors = [error["error"] for error in event.get("errors") or [] if error.get("error")]
    reason = "; ".join(errors) or state.state_message or "no reason given"
    outcome = state.result_state or state.life_cycle_state
    return f"{task_id} failed on Databricks ({outcome}): {reason} Log: {event['run_page_url']}"
