"""Two environments in one running Airflow, the second in a folder of the DAGs folder with its own settings.yaml."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Bucket

from local import clients
from tests.conftest import REPO, Stack
from tests.e2e.clients import Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.story import HEADER, archived_name, names, wait_until_archived

SETTINGS = "dag_prefix: dev_\nbucket: orders-dev\nschema: dev\n"
NAME = "order_tracking_2026_10_03.csv"


def one_row(status: str) -> str:
    return f"{HEADER}7001,E1,2026-10-02,,{status},,2026-10-03 08:00:00\n"


@pytest.fixture
def dev(stack: Stack, live_bucket: Bucket, tmp_path: Path) -> Iterator[Bucket]:
    """The bucket of a second environment with one feed. Gone afterwards with its runs, which would wait on for it."""
    bucket = live_bucket.client.create_bucket("orders-dev")
    make_schema = [sys.executable, "-m", "local.stack.create_schema", "dev"]
    subprocess.run(make_schema, cwd=REPO, env=os.environ | stack.env, check=True)
    made = Path(shutil.copytree(REPO / "dags", tmp_path / "dev", ignore=shutil.ignore_patterns("__pycache__")))
    for file in (made / "feeds").glob("*.yaml"):
        if file.stem != "order_tracking":
            file.unlink()
    (made / "settings.yaml").write_text(SETTINGS)
    # Whole at once: without its settings it would be a second order_tracking.
    folder = made.rename(stack.dags / "dev")
    yield bucket
    feed = Airflow(stack.home, "dev_order_tracking")
    dags = feed.beginning_with("dev_")
    try:
        feed.pause(True)  # else the next run would begin to wait when this one ends
        while run := feed.active_run():
            feed.mark_success(run)
    finally:
        shutil.rmtree(folder)
    for dag in dags:
        wait_for(f"{dag} forgotten", Airflow(stack.home, dag).forget)


def test_each_environment_loads_what_comes_to_its_bucket_into_its_schema(
    stack: Stack, dev: Bucket, airflow: Airflow, live_bucket: Bucket, deliveries: Deliveries, lakehouse: Lakehouse
) -> None:
    dev.blob(f"source/{NAME}").upload_from_string(one_row("FROM_DEV"))
    delivery = deliveries.put(NAME, one_row("FROM_PROD"))
    wait_until_archived(airflow, live_bucket, delivery)
    (of_dev,) = wait_for("the file of dev archived", lambda: names(dev, "archive/order_tracking/2026-10-03/"))
    wait_for("its source deleted", lambda: names(dev, "source/") == [])
    assert dev.blob(of_dev).download_as_text() == one_row("FROM_DEV")
    assert names(live_bucket, "archive/order_tracking/2026-10-03/") == [archived_name(delivery)]

    rows, count = clients.rows(stack.home.lakehouse / "dev.db" / "order_tracking", "1")
    assert [(row["tracking_num"], row["status"]) for row in rows] == [("E1", "FROM_DEV")]
    assert count == 1
    of_prod = [row["status"] for row in lakehouse.rows("order_tracking") if row["tracking_num"] == "E1"]
    assert of_prod == ["FROM_PROD"]
    assert not airflow.import_errors()
