"""How long Airflow takes to parse the DAG file of 1, 10 and 50 feeds, beyond the imports that are Airflow's own.

Each measurement is a fresh process, as the dag-processor forks one for each parse. A part of `make bench`; alone:
`python -m bench.dag_parse [--json]`.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
FEEDS = (1, 10, 50)
REPEATS = 5
PARSE = """
import json, sys, time
started = time.perf_counter()
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator
from airflow.providers.google.cloud.sensors.gcs import GCSObjectsWithPrefixExistenceSensor
from airflow.providers.google.cloud.transfers.gcs_to_gcs import GCSToGCSOperator
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
imported = time.perf_counter()
bag = DagBag(sys.argv[1], load_op_links=False)
parsed = time.perf_counter()
assert not bag.import_errors, bag.import_errors
print("MEASURED", json.dumps([len(bag.dags), imported - started, parsed - imported]))
"""


def main() -> None:
    """Print medians in seconds, with --json all that was measured."""
    measured = list(measurements())
    if "--json" in sys.argv[1:]:
        print(json.dumps(measured))
        return
    print("feeds  Airflow's imports  parse  a feed")
    for of_feeds in measured:
        imports, parse = (statistics.median(of_feeds[name]) for name in ("imports", "parse"))
        feeds = of_feeds["feeds"]
        print(f"{feeds:5}  {imports:15.2f} s  {parse:.2f} s  {1000 * parse / feeds:.0f} ms")


def measurements() -> Iterator[dict[str, Any]]:
    """For each number of feeds the seconds of all repeats."""
    with tempfile.TemporaryDirectory() as folder:
        for feeds in FEEDS:
            dags = dag_folder(Path(folder) / str(feeds), feeds)
            repeats = [measure(dags, feeds, Path(folder)) for _ in range(REPEATS)]
            imports, parse = zip(*repeats, strict=True)
            yield {"feeds": feeds, "imports": imports, "parse": parse}


def dag_folder(folder: Path, feeds: int) -> Path:
    """The project's DAG files with this many feeds."""
    shutil.copytree(REPO / "dags", folder, ignore=shutil.ignore_patterns("__pycache__", "feeds"))
    text = (REPO / "dags/feeds/order_tracking.yaml").read_text()
    (folder / "feeds").mkdir()
    for number in range(feeds):
        (folder / f"feeds/feed_{number}.yaml").write_text(text.replace("order_tracking_", f"feed_{number}_"))
    return folder


def measure(dags: Path, feeds: int, home: Path) -> tuple[float, float]:
    """Seconds for Airflow's imports and for the parse, in a fresh process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "INGESTION_JOBS": "/Workspace/Shared/ingestion/spark_jobs",
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(dags)], env=environment, capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("MEASURED "))
    found, imports, parse = json.loads(line.removeprefix("MEASURED "))
    if found != feeds + 2:  # the watch and the erasure
        raise RuntimeError(f"{found} DAGs instead of {feeds}, the watch and the erasure:\n{done.stderr}")
    return imports, parse


if __name__ == "__main__":
    main()
