"""Names of Airflow's own that our commands lean on: an upgrade that moves one says so here, by its name."""

import ast
import inspect
from importlib import import_module

import pytest
from airflow.api_fastapi.common.dagbag import resolve_run_on_latest_version
from airflow.cli import cli_config
from airflow.jobs.job import Job, most_recent_job
from airflow.models import DagModel, DagRun, TaskInstance
from airflow.models.backfill import Backfill, BackfillDagRun, _create_backfill, _do_dry_run
from airflow.models.errors import ParseImportError
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.xcom import XComModel
from airflow.serialization.definitions.dag import SerializedDAG

from tests.conftest import REPO

PLACES = (
    "plugins/ingestion/backfill/internals.py",
    "plugins/ingestion/cli.py",
    "plugins/ingestion/checks/airflow_database.py",
    "plugins/ingestion/checks/command.py",
)
NAMES = [
    (place, node.module, alias.name)
    for place in PLACES
    for node in ast.walk(ast.parse((REPO / place).read_text()))
    if isinstance(node, ast.ImportFrom) and str(node.module).startswith("airflow")
    for alias in node.names
]


@pytest.mark.parametrize(("place", "module", "name"), NAMES, ids=[f"{module}.{name}" for _, module, name in NAMES])
def test_airflow_has_it(place: str, module: str, name: str) -> None:
    assert hasattr(import_module(module), name), f"this Airflow has no {module}.{name}, which {place} uses"


ATTRIBUTES = {
    cli_config: ["ARG_VERBOSE", "core_commands", "lazy_load_command", "positive_int"],
    DagModel: ["has_import_errors", "is_paused", "is_stale"],
    DagRun: [
        "backfill_id",
        "dag_id",
        "end_date",
        "last_scheduling_decision",
        "logical_date",
        "run_id",
        "start_date",
        "state",
    ],
    Job: ["is_alive"],
    ParseImportError: ["filename", "stacktrace"],
    SerializedDAG: ["iter_dagrun_infos_between", "timezone"],
    SerializedDagModel: ["get_dag"],
    TaskInstance: ["dag_id", "end_date", "log_url", "run_id", "state", "task_id"],
    XComModel: ["dag_id", "deserialize_value", "key", "run_id", "task_id"],
}


@pytest.mark.parametrize("owner", ATTRIBUTES, ids=lambda owner: owner.__name__)
def test_what_is_imported_has_what_is_used_of_it(owner: object) -> None:
    its_names = {*dir(owner), *vars(owner).get("__annotations__", {})}
    assert [name for name in ATTRIBUTES[owner] if name not in its_names] == []


@pytest.mark.parametrize("function", [_create_backfill, _do_dry_run, most_recent_job, resolve_run_on_latest_version])
def test_its_functions_take_what_they_are_given(function: object) -> None:
    tree = ast.parse((REPO / PLACES[0]).read_text())
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == function.__name__
    ]
    inspect.signature(function).bind(*call.args, **{str(keyword.arg): None for keyword in call.keywords})


def test_its_tables_have_these_columns() -> None:
    of_backfill = {"completed_at", "dag_id", "dag_run_conf", "from_date", "is_paused", "max_active_runs", "to_date"}
    assert of_backfill | {"id", "reprocess_behavior"} <= set(Backfill.__table__.columns.keys())
    of_day = {"backfill_id", "dag_run_id", "exception_reason", "logical_date", "sort_ordinal"}
    assert of_day <= set(BackfillDagRun.__table__.columns.keys())
