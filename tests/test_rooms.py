"""What each part of the project is, is said by where it lies: who may import whom (the layout in README.md)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.uv import uv

# First match counts. What a part may import beside the standard library and itself; `*` is anything from elsewhere,
# but nothing of this project that is not named.
AIRFLOW = ("airflow", "pendulum")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "dags": ("airflow.sdk", "ingestion.alerts", "ingestion.pipeline", "ingestion.runs", "ingestion.tasks"),
    "plugins/ingestion/pipeline": ("google.api_core", "google.cloud.storage", "pydantic", "pydantic_core", "yaml"),
    # databricks.sdk is there on Databricks alone, and asked for where a service credential is named.
    "plugins/ingestion/native": ("databricks.sdk.runtime", "google.auth", "google.cloud.storage", "ingestion.pipeline"),
    # aiohttp, asgiref and gcloud are what the provider's own trigger is written with, google.cloud.storage has the type
    # of what a hook gives and ingestion.pipeline takes; the others raise errors.
    "plugins/ingestion/tasks": (
        *AIRFLOW,
        "aiohttp",
        "asgiref",
        "gcloud",
        "google.api_core",
        "google.auth",
        "google.cloud.storage",
        "openlineage",
        "requests",
        "tenacity",
        "ingestion.alerts",
        "ingestion.checks",
        "ingestion.pipeline",
        "ingestion.runs",
    ),
    "plugins/ingestion/runs": (*AIRFLOW, "ingestion.pipeline"),
    "plugins/ingestion/backfill/internals.py": (*AIRFLOW, "sqlalchemy", "ingestion.backfill"),
    "plugins/ingestion/backfill": ("pydantic",),
    "plugins/ingestion/checks/airflow_database.py": (*AIRFLOW, "sqlalchemy", "ingestion.pipeline"),
    "plugins/ingestion/checks": (
        *AIRFLOW,
        "google.cloud.storage",
        "packaging",
        "pydantic",
        "requests",
        "ingestion.alerts",
        "ingestion.pipeline",
        "ingestion.runs",
    ),
    "plugins/ingestion/alerts.py": (*AIRFLOW, "ingestion.pipeline"),
    "plugins/ingestion/check_feeds.py": (*AIRFLOW, "ingestion.pipeline"),
    "plugins/ingestion/cli.py": ("airflow.cli", "ingestion.backfill"),
    "plugins/ingestion/plugin.py": (*AIRFLOW, "ingestion.preload", "ingestion.runs"),
    "plugins/ingestion/preload.py": AIRFLOW,
    "plugins/ingestion": (),
    "plugins": ("ingestion.cli",),
    "spark_jobs": ("pyspark", "ingestion_jobs"),
    "local": ("*",),
    "bench": ("*", "local", "ingestion_jobs"),
    "tests": ("*", "bench", "ingestion", "ingestion_jobs", "local"),
}
OURS = ("bench", "dags", "ingestion", "ingestion_jobs", "local", "tests")
FILES = sorted(
    path
    for part in ("dags", "plugins", "spark_jobs", "local", "bench", "tests")
    for path in REPO.glob(f"{part}/**/*.py")
)


def part_of(path: Path) -> str:
    relative = path.relative_to(REPO).as_posix()
    return next(part for part in MAY_IMPORT if relative == part or relative.startswith(f"{part}/"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Every name that is imported, wherever the import stands; of `from a import b` it is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wrong_imports(part: str, text: str) -> list[str]:
    own = part.removesuffix(".py").removeprefix("plugins/").removeprefix("spark_jobs/").replace("/", ".")
    allowed = (*MAY_IMPORT[part], own)

    def is_allowed(name: str) -> bool:
        top = name.partition(".")[0]
        named = any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)
        return named or top in sys.stdlib_module_names or ("*" in allowed and top not in OURS)

    return [name for name in imported(ast.parse(text)) if not is_allowed(name)]


def test_no_part_reaches_into_another() -> None:
    found = {path.relative_to(REPO).as_posix(): wrong_imports(part_of(path), path.read_text()) for path in FILES}
    assert len(found) > 150
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("part", "text", "wrong"),
    [
        ("dags", "from local.stack import home", "local.stack.home"),
        ("dags", "from ingestion.backfill import days", "ingestion.backfill.days"),
        ("plugins/ingestion/pipeline", "from airflow.sdk import DAG", "airflow.sdk.DAG"),
        ("plugins/ingestion/pipeline", "from ingestion import alerts", "ingestion.alerts"),
        ("plugins/ingestion/runs", "def f():\n    import ingestion.tasks", "ingestion.tasks"),
        ("plugins/ingestion/backfill", "from airflow.models import DagRun", "airflow.models.DagRun"),
        ("plugins/ingestion/checks", "from ingestion.tasks import stage", "ingestion.tasks.stage"),
        ("plugins/ingestion/checks", "import sqlalchemy", "sqlalchemy"),
        ("spark_jobs", "import pandas", "pandas"),
        ("spark_jobs", "from ingestion.pipeline import feeds", "ingestion.pipeline.feeds"),
        ("local", "import ingestion_jobs.merging", "ingestion_jobs.merging"),
        ("bench", "import ingestion.pipeline", "ingestion.pipeline"),
        ("bench", "from tests import oracle", "tests.oracle"),
    ],
)
def test_a_wrong_import_of_each_kind_is_found(part: str, text: str, wrong: str) -> None:
    assert wrong_imports(part, f"import os\n{text}\n") == [wrong]


IMPORT_ALL = """
import importlib, importlib.metadata, importlib.util, pkgutil, ingestion.native, ingestion.pipeline
assert importlib.util.find_spec("airflow") is None
for room in (ingestion.native, ingestion.pipeline):
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        print(importlib.import_module(module.name).__name__)
for entry in importlib.metadata.entry_points(group="ingestion.native"):
    assert callable(entry.load())
"""


def test_the_pipeline_is_usable_where_there_is_no_airflow(tmp_path: Path) -> None:
    """The package as it would be installed there, with the dependencies it names, in the versions of the lock."""
    python = tmp_path / "venv" / "bin" / "python"
    uv("venv", "--python", sys.executable, tmp_path / "venv")
    uv("pip", "install", "--python", python, "--constraint", REPO / "requirements.lock", REPO)
    done = subprocess.run([python, "-I", "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = {
        f"ingestion.{room}.{path.stem}"
        for room in ("native", "pipeline")
        for path in (REPO / "plugins/ingestion" / room).glob("[!_]*.py")
    }
    assert set(done.stdout.split()) == modules
