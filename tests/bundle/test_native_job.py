"""The jobs of the bundle at work, without Airflow: by the local Jobs service, from files in the bucket to tables."""

import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs
from google.cloud.storage import Bucket
from pyspark.sql import SparkSession

from local import demo
from tests import tables
from tests.bucket_server import BucketServer, new_client
from tests.bundle.reading import deployed, read_bundle, resources
from tests.conftest import REPO, SparkRemote
from tests.e2e.clients import Deliveries
from tests.e2e.story import HEADER, archived_name, names
from tests.local.databricks.harness import TOKEN, Service, wait_for
from tests.oracle import Delivery, expected_target

FILES = "/Workspace/Shared/bundle/files"
TASKS = ("plan", "stage", "merge", "archive")
DAY = "order_tracking_2026_10_04.csv"


@dataclass
class Native:
    """The deployed bundle: its jobs by name, and where they read and write."""

    sdk: WorkspaceClient
    service: Service
    bucket: Bucket
    lakehouse: SparkRemote
    schema: str
    spark: SparkSession
    ids: dict[str, int] = field(default_factory=dict)

    @property
    def resources(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What the bundle describes, for this bucket and schema."""
        given = {"bucket": self.bucket.name, "catalog": "spark_catalog", "schema": self.schema, "warehouse_id": "none"}
        # No program can open /Workspace on this machine, where the service alone knows what it stands for.
        folder = self.service.folder / "workspace" / FILES.removeprefix("/Workspace/")
        return resources(given | {"expected_feeds": "('order_tracking'), ('user_activity')"}, str(folder))

    def start(self, job: str, **parameters: str) -> int:
        """Start a run, as the trigger or a person does."""
        return self.sdk.jobs.run_now(self.ids[job], job_parameters=parameters).run_id

    def ended(self, run_id: int) -> jobs.Run:
        """The run when it is over."""
        wait_for(lambda: self.sdk.jobs.get_run(run_id).state.result_state, 180)
        return self.sdk.jobs.get_run(run_id, include_history=True)

    def run(self, job: str, **parameters: str) -> jobs.Run:
        """A run that succeeds."""
        run = self.ended(self.start(job, **parameters))
        said = {task.task_key: self.sdk.jobs.get_run_output(task.run_id) for task in run.tasks}
        assert run.state.result_state is jobs.RunResultState.SUCCESS, {
            key: (output.error, output.logs) for key, output in said.items()
        }
        return run

    def log(self, run: jobs.Run, task: str) -> str:
        """What a task has printed."""
        (found,) = (item for item in run.tasks if item.task_key == task)
        return self.sdk.jobs.get_run_output(found.run_id).logs

    def rows(self, table: str, **options: str) -> list[dict[str, object]]:
        """The rows of a table, by another reader than Spark."""
        return tables.rows(self.lakehouse.lakehouse / f"{self.schema}.db" / table, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The wheel as databricks.yml has it built, but without the network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=REPO, check=True)
    (built,) = folder.glob("*.whl")
    return str(built)


@pytest.fixture(scope="module")
def native(service: Service, spark_remote: SparkRemote, bucket_server: BucketServer, wheel: str) -> Native:
    """The bundle, deployed to the local service for a bucket and a schema of its own."""
    workspace = service.folder / "workspace" / "Shared" / "bundle"
    for folder in read_bundle()["sync"]["paths"]:
        shutil.copytree(REPO / folder, workspace / "files" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (workspace / "artifacts").mkdir()
    built = shutil.copy(wheel, workspace / "artifacts").rsplit("/", 1)[1]
    schema = f"native_{uuid.uuid4().hex[:8]}"
    spark = SparkSession.builder.remote(spark_remote.remote).getOrCreate()
    spark.sql(f"CREATE SCHEMA {schema}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", bucket_server.environment["STORAGE_EMULATOR_HOST"])
        bucket = new_client().create_bucket(schema.replace("_", "-"))
    sdk = WorkspaceClient(host=service.url, token=TOKEN)
    found = Native(sdk, service, bucket, spark_remote, schema, spark)
    for name, job in found.resources["jobs"].items():
        body = deployed(job, FILES, f"/Workspace/Shared/bundle/artifacts/{built}", found.ids)
        answer = service.call("POST", "/api/2.2/jobs/create", body)
        assert answer.status_code == 200, answer.text
        found.ids[name] = answer.json()["job_id"]
    return found


def test_the_samples_come_to_the_same_tables_and_archive_as_through_airflow(native: Native) -> None:
    """`make demo` delivers the same files to the DAGs, and holds what comes of them against the same rows."""
    (_, _, first_day), *later = demo.DELIVERIES
    delivered = {name: (demo.SAMPLES / name).read_bytes() for _, _, names_ in demo.DELIVERIES for name in names_}
    for name in first_day:
        native.bucket.blob(f"source/{name}").upload_from_string(delivered[name])
    native.run("order_tracking")
    for _, _, others in later:
        for name in others:
            native.bucket.blob(f"source/{name}").upload_from_string(delivered[name])
    hourly = native.run("hourly")

    for feed in demo.DAGS:
        demo.compare(feed, demo.expected(feed), native.rows(feed, order_by="tracking_num"))
        quarantine = f"{feed}_quarantine"
        demo.compare(quarantine, demo.expected(quarantine), native.rows(quarantine, order_by="_source_file, _record"))
    assert native.rows("user_activity") == [], "a run without files makes no tables"
    kept = [name for name in names(native.bucket, "") if not name.startswith("batches/")]
    folders = [f"archive/order_tracking/2026-09-0{day}" for day in (1, 2)] + ["archive/parcel_invoices/2026-09-01"]
    assert [name.rsplit("/", 1)[0] for name in kept] == [*folders, *["rejected/order_tracking/2026-09-03"] * 2]
    for name in kept:
        stem, generation, suffix = name.rsplit("/", 1)[1].rsplit(".", 2)
        if suffix == "csv" and generation.isdigit():
            assert native.bucket.blob(name).download_as_bytes() == delivered[f"{stem}.csv"]
    assert [name for name in names(native.bucket, "batches/") if "/input/" in name] == []

    started = {task.task_key: native.sdk.jobs.get_run_output(task.run_id).run_job_output for task in hourly.tasks}
    of_orders = native.sdk.jobs.get_run(started["order_tracking"].run_id)
    assert of_orders.trigger is jobs.TriggerType.RUN_JOB_TASK
    assert "ATTENTION order_tracking: 1 file(s) rejected" in native.log(of_orders, "plan")
    of_nothing = native.sdk.jobs.get_run(started["user_activity"].run_id)
    assert [task.state.result_state.value for task in of_nothing.tasks] == ["SUCCESS"] * 4
    assert '"rows_read": 0' in native.log(of_nothing, "stage")


def test_the_alerts_find_what_the_samples_have(native: Native) -> None:
    """After the test above. Those that read files of the bucket need Databricks' own SQL."""

    def found(alert: str) -> list[dict[str, object]]:
        # As an hour later, since they ask about the hour before.
        query = native.resources["alerts"][alert]["query_text"].replace(
            "current_timestamp()", "(current_timestamp() + INTERVAL 1 HOUR)"
        )
        return [row.asDict() for row in native.spark.sql(query).collect()]

    assert found("no_file") == [{"feed": "user_activity"}]
    bad = sorted((row["feed"], row["rows_quarantined"], row["rows_read"]) for row in found("rows_quarantined"))
    # By hand from local/samples: the first and the second day, and the invoices.
    assert bad == [("order_tracking", 1, 7), ("order_tracking", 2, 8), ("parcel_invoices", 1, 5)]


def test_a_repaired_run_is_the_same_batch_and_an_overwritten_file_the_next_ones(native: Native) -> None:
    deliveries = Deliveries(native.bucket)
    first = deliveries.put(DAY, HEADER + "1,N1,,,RECEIVED,,2026-10-04 08:00:00\n2,N2,,,RECEIVED,,2026-10-04 08:00:00\n")
    run_id = native.start("order_tracking")
    kill_stage(native, run_id)
    failed = native.ended(run_id)
    results = {task.task_key: task.state.result_state.value for task in failed.tasks}
    assert results == {"plan": "SUCCESS", "stage": "FAILED", "merge": "UPSTREAM_FAILED", "archive": "UPSTREAM_FAILED"}
    assert failed.state.result_state is jobs.RunResultState.FAILED
    manifest = native.bucket.blob(f"batches/order_tracking/job-{run_id}/manifest.json")
    planned = manifest.download_as_bytes()
    second = deliveries.put(DAY, HEADER + "1,N1,,,DELIVERED,,2026-10-04 18:00:00\n")

    repair = native.sdk.jobs.repair_run(run_id, rerun_all_failed_tasks=True).response.repair_id
    repaired = native.ended(run_id)
    assert repaired.state.result_state is jobs.RunResultState.SUCCESS
    assert [task.attempt_number for task in repaired.tasks] == [0, 1, 1, 1]
    assert [item.type.value for item in repaired.repair_history] == ["ORIGINAL", "REPAIR"]
    assert repaired.repair_history[1].id == repair
    assert manifest.download_as_bytes() == planned
    assert stored(native, first) == first.text
    assert native.bucket.blob(second.object).download_as_text() == second.text, "it is the next run's"
    assert target(native) == expected_target([first])

    # An overwritten name fires no trigger: the hourly run takes it, or as here a person, with the day's other file.
    native.run("order_tracking", reload_from="2026-10-04")
    assert target(native) == expected_target([first, second])
    assert [stored(native, delivery) for delivery in (first, second)] == [first.text, second.text]
    assert names(native.bucket, "source/") == []
    log = native.rows("ingestion_log", columns="batch_id, dag_run_id", where=f"batch_id = 'job-{run_id}'")
    assert log == [{"batch_id": f"job-{run_id}", "dag_run_id": str(run_id)}] * 2, (
        "one row of the file, one of the batch"
    )


def kill_stage(native: Native, run_id: int) -> None:
    """Kill the process that executes `stage`, as soon as it does."""

    def executing() -> list[psutil.Process]:
        (stage,) = (task for task in native.sdk.jobs.get_run(run_id).tasks if task.task_key == "stage")
        if stage.state.life_cycle_state is not jobs.RunLifeCycleState.RUNNING:
            return []
        return [process for process in native.service.processes() if os.getsid(process.pid) == process.pid]

    wait_for(executing, 60)
    for process in executing():
        process.kill()


def target(native: Native) -> dict[object, dict[str, object]]:
    rows = native.rows("order_tracking", where="tracking_num LIKE 'N%'")
    return {row["tracking_num"]: plain(row) for row in rows}


def plain(row: dict[str, object]) -> dict[str, object]:
    """As the oracle has it: times in UTC without their zone."""
    return {name: value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value for name, value in row.items()}


def stored(native: Native, delivery: Delivery) -> str:
    """What the archive has of a delivery."""
    return native.bucket.blob(archived_name(delivery)).download_as_text()
