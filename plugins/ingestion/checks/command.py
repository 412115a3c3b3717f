"""The command `airflow ingestion check`."""

import argparse
import os
import signal
import sys
from contextlib import closing
from pathlib import Path

from airflow import settings as airflow
from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from ingestion.checks.airflow_database import check_airflow_database
from ingestion.checks.airflow_settings import check_airflow_settings
from ingestion.checks.everything import everything
from ingestion.pipeline.environments import Environment
from ingestion.pipeline.findings import Check, totals

INTERRUPTED = 130
# The DAGs that are not one feed's.
OF_ALL = ("ingestion_check", "ingestion_erase", "ingestion_maintenance", "ingestion_watch")


# Not in Airflow's log of actions, as its own commands are: nothing is left behind.
@suppress_logs_and_warning
@providers_configuration_loaded
def check(args: argparse.Namespace) -> None:
    """Run the command; ends the process with its exit code."""
    # So that connections of Airflow's database are found, as `airflow connections` does it.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    # As Ctrl-C: the run is cancelled and the probe removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = []
    folder = args.folder or Path(airflow.DAGS_FOLDER)
    try:
        with closing(everything(folder, os.environ, of_airflow, args.run)) as findings:
            for finding in findings:
                found.append(finding)
                print(finding, flush=True)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    print(totals(found))
    sys.exit(int(any(finding.level == "FAIL" for finding in found)))


def of_airflow(environment: Environment) -> Check[None]:
    """What a command may ask of Airflow: settings and database."""
    yield from check_airflow_settings(environment)
    of_all = [environment.settings.dag_id(name) for name in OF_ALL] if environment.settings else []
    yield from check_airflow_database([*(item.dag_id for item in environment.feeds), *of_all])
