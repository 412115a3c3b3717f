"""The entry scripts, executed as Databricks does it: by their source, without __file__, from a folder of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import REPO, SparkRemote
from tests.spark_jobs.conftest import Lake, order

LAUNCHER = """
import sys
options = next(n for n, argument in enumerate(sys.argv) if argument.startswith("--"))
paths, sys.argv = sys.argv[1:options], sys.argv[options - 1:]
for path in paths:
    exec(compile(open(path).read(), path, "exec"), {"__name__": "__main__"})
print("still running")
"""


def run(
    scripts: Sequence[str],
    remote: str,
    cwd: Path,
    document: str,
    *more: str,
    python: str | Path = sys.executable,
    option: str = "--manifest",
) -> subprocess.CompletedProcess[str]:
    """Execute scripts one after the other in a process of their own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, "-c", LAUNCHER, *(REPO / "spark_jobs" / script for script in scripts), option, document, *more],
        cwd=cwd,
        env=environment | {"SPARK_REMOTE": remote},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_entries_load_a_batch_and_return(lake: Lake, spark_remote: SparkRemote, tmp_path: Path) -> None:
    uri = lake.manifest(lake.orders(order("T1", "ok", "09:00:00"), generation=1), batch="b1")
    results = []
    for script in ("stage.py", "merge.py"):
        ended = run([script], spark_remote.remote, tmp_path, uri)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.endswith("still running\n")
        (line,) = [line for line in ended.stdout.splitlines() if line.startswith("INGESTION_RESULT ")]
        results.append(json.loads(line.removeprefix("INGESTION_RESULT ")))

    assert [(result["step"], result["batch_id"]) for result in results] == [("stage", "b1"), ("merge", "b1")]
    assert results[1]["rows_inserted"] == 1
    assert lake.target("tracking_num") == [("T1",)]


def test_a_failure_is_one_line_that_says_what_to_do(spark_remote: SparkRemote, tmp_path: Path) -> None:
    ended = run(["stage.py"], spark_remote.remote, tmp_path, str(tmp_path / "none.json"))
    assert ended.returncode == 1
    last_line = ended.stderr.strip().splitlines()[-1]
    assert last_line == (
        f"ingestion_jobs.errors.IngestionError: manifest {tmp_path / 'none.json'} does not exist: "
        "run plan_batch again, it writes one per batch"
    )
