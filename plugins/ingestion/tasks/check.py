"""`check`: what `airflow ingestion check` says, for people without a shell, as far as a worker can see it."""

import logging
import os
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from ingestion.checks.airflow_settings import check_airflow_settings
from ingestion.checks.everything import everything
from ingestion.pipeline.environments import Environment
from ingestion.pipeline.findings import Check, Level, described, fail, ok, skipped, totals, warn

_LOG_LEVELS: dict[Level, int] = {
    "ok": logging.INFO,
    "warn": logging.WARNING,
    "FAIL": logging.ERROR,
    "skipped": logging.INFO,
}


class CheckOperator(BaseOperator):
    """Look at everything and return the lines. The form's `run` says whether a Databricks run is started.

    :param folder: of the DAG files, with `feeds/`
    """

    def __init__(self, *, folder: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = str(folder)

    def execute(self, context: Context) -> list[str]:
        """Raises AirflowFailException if something does not work: it would not the next time either."""
        found = []
        for finding in everything(Path(self.folder), os.environ, of_airflow, context["params"]["run"]):
            found.append(finding)
            self.log.log(_LOG_LEVELS[finding.level], "%s", finding)
        if failed := [str(finding) for finding in found if finding.level == "FAIL"]:
            raise AirflowFailException("\n".join([totals(found), *failed]))
        return [str(finding) for finding in found]

    def on_kill(self) -> None:
        """Interrupt it, no error that a check would tell: its run is cancelled then and its objects are removed."""
        raise KeyboardInterrupt


def of_airflow(environment: Environment) -> Check[None]:
    """What a worker may ask of Airflow: its own settings, and of each DAG whether it is paused."""
    yield from check_airflow_settings(environment)
    paused = []
    for dag_id in (item.dag_id for item in environment.feeds):
        try:
            if RuntimeTaskInstance.get_dag(dag_id).is_paused:
                paused.append(dag_id)
        except Exception as error:  # what Airflow answers for a DAG that it does not have, and all else
            yield fail("DAGs", f"Airflow does not know {dag_id} ({described(error)}): see its import errors")
    if paused:
        yield warn("DAGs", f"paused, so nothing of them runs: {', '.join(paused)}: unpause them in the UI")
    else:
        yield ok("DAGs", "none of a feed is paused")
    yield skipped(
        "Airflow's processes and import errors",
        "a worker cannot read Airflow's database: see the health of triggerer and DAG processor at the home page of "
        "the UI and its import errors, or run `airflow ingestion check` in a shell",
    )
