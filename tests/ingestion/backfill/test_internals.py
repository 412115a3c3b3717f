"""Names of Airflow's own that `airflow dags backfill` leans on: an upgrade that moves one says so here, by its name."""

import ast
import inspect
from importlib import import_module

import pytest
from airflow.models.backfill import Backfill, BackfillDagRun, _create_backfill, _do_dry_run

from tests.conftest import REPO

PLACES = ("plugins/ingestion/backfill/internals.py", "plugins/ingestion/cli.py")
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


@pytest.mark.parametrize("function", [_create_backfill, _do_dry_run])
def test_its_functions_take_what_they_are_given(function: object) -> None:
    tree = ast.parse((REPO / PLACES[0]).read_text())
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == function.__name__
    ]
    inspect.signature(function).bind(**{str(keyword.arg): None for keyword in call.keywords})


def test_its_tables_have_these_columns() -> None:
    of_backfill = {"completed_at", "dag_id", "dag_run_conf", "from_date", "is_paused", "max_active_runs", "to_date"}
    assert of_backfill | {"id", "reprocess_behavior"} <= set(Backfill.__table__.columns.keys())
    of_day = {"backfill_id", "dag_run_id", "exception_reason", "logical_date", "sort_ordinal"}
    assert of_day <= set(BackfillDagRun.__table__.columns.keys())
