"""What Airflow's processes import when they start is all that a parse of the DAGs imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"
PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.listeners.listener import get_listener_manager
from airflow.sdk.execution_time.task_runner import TaskRunnerMarker

get_listener_manager().hook.on_starting(component=TaskRunnerMarker())
in_task = "ingestion.tasks.detect_new_files" in sys.modules
get_listener_manager().hook.on_starting(component="a scheduler")
before = set(sys.modules)
bag = DagBag(sys.argv[1], load_op_links=False)
assert bag.dags, bag.import_errors
print("FOUND", json.dumps([in_task, sorted(set(sys.modules) - before)]))
"""


def test_a_parse_imports_the_dag_files_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared/ingestion/spark_jobs")
    done = subprocess.run([sys.executable, "-c", PARSE, DAGS], capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")] or [done.stderr]
    in_task, imported = json.loads(line.removeprefix("FOUND "))
    assert not in_task, "a task of another DAG would import all this in vain"
    # Python loads an encoding where a feed first names it.
    imported = [name for name in imported if not name.startswith("encodings.")]
    assert [name for name in imported if not name.startswith("unusual_prefix_")] == []
    assert len(imported) == len(list(DAGS.glob("*.py")))
