"""What OpenLineage is told, by the classes of its provider, which this project does not install."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ingestion.pipeline.feeds import Feed
from tests.conftest import REPO
from tests.uv import packages

EXTRAS = Path(__file__).with_name("extras.txt")
# As the provider's listener does in the process of a task that has ended.
ASK = """
import json, sys
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from openlineage.client.serde import Serde
from ingestion.pipeline.feeds import Feed
from ingestion.tasks.archive import ArchiveFilesOperator
from ingestion.tasks.merge import MergeBatchOperator

feed, batch = Feed.model_validate_json(sys.argv[1]), {"bucket": "orders-data", "batch_id": "b1"}
counted, uncounted = (
    MergeBatchOperator(task_id=name, feed=feed, table="main.orders.order_tracking", json={}, **batch) for name in "ab"
)
counted._counts = json.loads(sys.argv[2])
archive = ArchiveFilesOperator(task_id="archive", feed=feed, merged_batch_id="b1", **batch)
for task in (counted, uncounted, archive):
    found = DefaultExtractor(task).extract_on_complete(None)
    print("LINEAGE", json.dumps([[Serde.to_dict(one) for one in ones] for ones in (found.inputs, found.outputs)]))
"""


def test_openlineage_is_told_of_folder_table_and_counts(feed: Feed, tmp_path: Path) -> None:
    counts = {"file_count": 2, "rows_read": 9, "rows_inserted": 3, "rows_updated": 1}
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(REPO / "plugins"), str(packages(EXTRAS))]),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONN_DATABRICKS_DEFAULT": "databricks://workspace.example.com",
    }
    arguments = [feed.model_dump_json(), json.dumps(counts)]
    done = subprocess.run(
        [sys.executable, "-c", ASK, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line.removeprefix("LINEAGE ")) for line in done.stdout.splitlines() if "LINEAGE" in line]
    ([source], [target]), uncounted, archive = found
    assert (source["namespace"], source["name"]) == ("gs://orders-data", "source")
    assert (target["namespace"], target["name"]) == ("databricks://workspace.example.com", "main.orders.order_tracking")
    assert target["facets"]["documentation"]["description"] == feed.description
    fields = target["facets"]["schema"]["fields"]
    assert [(field["name"], field["type"]) for field in fields][:3] == [
        ("order_num", "string"),
        ("tracking_num", "string"),
        ("pck_recieved_date", "date"),
    ]
    read, written = source["inputFacets"]["inputStatistics"], target["outputFacets"]["outputStatistics"]
    assert (read["fileCount"], read["rowCount"], written["rowCount"]) == (2, 9, 4)
    assert not any(one.get("inputFacets") or one.get("outputFacets") for ones in uncounted for one in ones)
    assert [[(one["namespace"], one["name"]) for one in ones] for ones in archive] == [
        [("gs://orders-data", "source")],
        [("gs://orders-data", "archive/order_tracking")],
    ]
