"""The tasks `plan` and `archive` of the native job against a real bucket, called as Databricks calls them."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Bucket

from ingestion.native.batch import JobBatch, NotMergedError
from ingestion.native.bucket import open_bucket
from ingestion.native.entries import archive_batch, plan_batch, requested, trim_batches
from ingestion.pipeline import storage
from ingestion.pipeline.feed_files import FeedError
from ingestion.pipeline.run_request import RunRequestError
from tests.conftest import REPO
from tests.ingestion.pipeline.batches import ARCHIVED, FIRST, HEADER, NAME, SECOND, names, put
from tests.refusals import NO_ACCESS, Refusals

Call = Callable[..., None]
BATCH = "batches/order_tracking/job-7"


@pytest.fixture
def plan(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the task `plan` of the job run of this id, with these options beside those that it always has."""

    def call(run: int = 7, **options: str) -> None:
        given = {"feeds": str(REPO / "dags/feeds"), "schema": "orders", "trigger": "file_arrival"} | options
        as_the_job(monkeypatch, bucket, run, given)
        plan_batch()

    return call


@pytest.fixture
def archive(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the task `archive` of the job run of this id."""

    def call(run: int = 7, merged: str = "success") -> None:
        as_the_job(monkeypatch, bucket, run, {"merged": merged})
        archive_batch()

    return call


def as_the_job(monkeypatch: pytest.MonkeyPatch, bucket: Bucket, run: int, options: dict[str, str]) -> None:
    uri = f"gs://{bucket.name}/batches/order_tracking/job-{run}/manifest.json"
    options = {"manifest": uri, "credential": ""} | options
    lines = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    monkeypatch.setattr(sys, "argv", ["gcs-delta-ingestion", *lines])


def manifest(bucket: Bucket, run: int = 7) -> dict[str, object]:
    return json.loads(bucket.blob(f"batches/order_tracking/job-{run}/manifest.json").download_as_text())


def test_a_job_run_is_a_batch_named_after_it(bucket: Bucket, plan: Call, archive: Call) -> None:
    generation = put(bucket, NAME, FIRST)
    plan()
    written = manifest(bucket)
    assert (written["batch_id"], written["dag_id"], written["run_id"]) == ("job-7", "order_tracking", "7")
    assert written["run_type"] == "scheduled"
    assert written["tables"]["target"] == "orders.order_tracking"
    assert [(file["object"], file["generation"]) for file in written["files"]] == [(NAME, generation)]
    archive()
    assert names(bucket) == [f"{ARCHIVED}.{generation}.csv", f"{BATCH}/manifest.json"]


def test_a_repaired_run_is_the_same_batch(bucket: Bucket, plan: Call, archive: Call) -> None:
    put(bucket, NAME, FIRST)
    plan()
    first = manifest(bucket)
    put(bucket, NAME, SECOND)
    plan()
    assert manifest(bucket) == first
    assert bucket.blob(f"{BATCH}/input/00001.csv").download_as_text() == FIRST
    archive()
    archive()
    assert bucket.blob(NAME).download_as_text() == SECOND, "the newer upload is the next run's"


def test_a_run_repaired_after_its_archive_can_be_staged_again(bucket: Bucket, plan: Call, archive: Call) -> None:
    put(bucket, NAME, FIRST)
    plan()
    archive()
    plan()
    assert bucket.blob(f"{BATCH}/input/00001.csv").download_as_text() == FIRST


def test_what_a_killed_plan_pinned_hinders_no_repair(bucket: Bucket, plan: Call) -> None:
    put(bucket, f"{BATCH}/input/00001.csv", "another file of the killed try")
    put(bucket, f"{BATCH}/input/00002.csv", "and one that is not there any more")
    put(bucket, NAME, FIRST)
    plan()
    assert bucket.blob(f"{BATCH}/input/00001.csv").download_as_text() == FIRST
    assert not bucket.blob(f"{BATCH}/input/00002.csv").exists()


def test_nothing_to_load_is_an_empty_manifest(bucket: Bucket, plan: Call, archive: Call) -> None:
    put(bucket, "source/readme.txt", "not ours")
    plan()
    assert (manifest(bucket)["files"], manifest(bucket)["rejected"]) == ([], [])
    archive(merged="success")
    assert names(bucket) == [f"{BATCH}/manifest.json", "source/readme.txt"]


def test_rejected_files_alone_are_moved_and_said(
    bucket: Bucket, plan: Call, archive: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    generation = put(bucket, NAME, "no,header\n")
    plan()
    archive()
    moved = f"rejected/order_tracking/2026-11-20/order_tracking_2026_11_20.{generation}.csv"
    assert names(bucket, "rejected/") == [moved, f"{moved}.reason.json"]
    assert names(bucket, "source/") == []
    assert "ATTENTION order_tracking: 1 file(s) rejected" in capsys.readouterr().out


# By hand from the documentation: what Databricks says of a task that did not succeed, or of none at all.
@pytest.mark.parametrize(
    "result", ["failed", "disabled", "excluded", "upstream_failed", "", "{{tasks.merge.result_state}}"]
)
def test_nothing_leaves_source_that_was_not_merged(bucket: Bucket, plan: Call, archive: Call, result: str) -> None:
    put(bucket, NAME, FIRST)
    plan()
    with pytest.raises(NotMergedError, match="job-7 was not merged"):
        archive(merged=result)
    assert names(bucket, "source/") == [NAME]


def test_archive_without_plan_says_what_is_missing(archive: Call) -> None:
    with pytest.raises(NotMergedError, match=r"job-7/manifest\.json does not exist: run the task plan"):
        archive()


def test_days_are_loaded_again_and_rejected_files_read_anew(bucket: Bucket, plan: Call, archive: Call) -> None:
    generation = put(bucket, NAME, FIRST)
    plan()
    archive()
    put(bucket, "source/order_tracking_2026_11_21.csv", SECOND)
    plan(8, reload_from="2026-11-20")
    assert [(file["object"], file["generation"]) for file in manifest(bucket, 8)["files"]] == [(NAME, generation)]
    plan(9, again_rejected="true")
    assert manifest(bucket, 9)["files"] == []
    with pytest.raises(RunRequestError, match="reload_from"):
        plan(10, reload_from="yesterday")


def test_an_unreadable_file_is_told_and_the_others_are_loaded(
    bucket: Bucket, plan: Call, refusals: Refusals, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "source/order_tracking_2026_11_21.csv"
    put(bucket, NAME, FIRST)
    put(bucket, other, SECOND)
    refusals.refuse("GET", NAME, NO_ACCESS)
    plan()
    assert [file["object"] for file in manifest(bucket)["files"]] == [other]
    assert "1 file(s) cannot be read" in capsys.readouterr().out
    plan(8)
    assert [file["object"] for file in manifest(bucket, 8)["files"]] == [other], "not tried again within the hour"
    assert manifest(bucket, 8)["unreadable"] == []


def test_trimming_removes_old_batches_and_says_what_it_leaves(
    bucket: Bucket, plan: Call, archive: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(bucket, NAME, FIRST)
    plan()
    archive()
    put(bucket, "source/order_tracking_2026_11_21.csv", SECOND)
    plan(8)  # whose run has failed
    for days, left in ((1, ["job-7", "job-8", "job-8"]), (0, ["job-8", "job-8"])):
        monkeypatch.setattr(sys, "argv", ["gcs-delta-ingestion", f"--bucket={bucket.name}", f"--keep-days={days}"])
        trim_batches()
        assert [name.split("/")[2] for name in names(bucket, "batches/")] == left
    said = capsys.readouterr().out
    assert f"Removed gs://{bucket.name}/{BATCH}/" in said
    assert f"ATTENTION gs://{bucket.name}/batches/order_tracking/job-8/ stays" in said


def test_a_run_started_by_hand_tries_again_what_others_leave() -> None:
    assert requested("ONE_TIME", "", "", "false").run_type == "manual"
    assert requested("one_time", " ", "", "").run_type == "manual"
    for trigger in ("file_arrival", "run_job_task", "periodic", ""):
        assert requested(trigger, "", "", "false").run_type == "scheduled"


@pytest.mark.parametrize(
    "uri",
    [
        "gs://orders-data/batches/order_tracking/job-{{job.run_id}}/manifest.json",
        "gs://orders-data/batches/{{job.parameters.feed}}/job-1/manifest.json",
        "/Volumes/orders/batches/order_tracking/job-1/manifest.json",
        "gs://orders-data/source/job-1/manifest.json",
    ],
)
def test_a_manifest_that_is_no_job_runs_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"names no batch of a job run"):
        JobBatch.at(uri)


def test_a_feed_that_is_not_there_or_wrong_is_named(bucket: Bucket, plan: Call, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"has no order_tracking\.yaml"):
        plan(feeds=str(tmp_path))
    (tmp_path / "order_tracking.yaml").write_text("prefix: source/\n")
    with pytest.raises(FeedError, match=r"order_tracking\.yaml: pattern"):
        plan(feeds=str(tmp_path))


def test_contested_files_are_left_as_in_airflow(bucket: Bucket, plan: Call, tmp_path: Path) -> None:
    text = (REPO / "dags/feeds/order_tracking.yaml").read_text()
    (tmp_path / "order_tracking.yaml").write_text(text)
    (tmp_path / "everything.yaml").write_text(text.replace("order_tracking_(", "order_(tracking_)?("))
    put(bucket, NAME, HEADER)
    plan(feeds=str(tmp_path))
    assert manifest(bucket)["files"] == []


def test_the_bucket_is_opened_by_the_service_credential_that_is_named(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = AnonymousCredentials()
    runtime = types.ModuleType("databricks.sdk.runtime")
    provider = types.SimpleNamespace(getServiceCredentialsProvider={"lake": given}.__getitem__)
    runtime.dbutils = types.SimpleNamespace(credentials=provider)
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", runtime)
    opened = open_bucket(bucket.name, "lake")
    assert opened.client._credentials is given
    generation = put(bucket, NAME, FIRST)
    found = storage.find(opened, NAME)
    assert found is not None
    assert found.generation == generation


def test_a_service_credential_elsewhere_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", None)
    with pytest.raises(RuntimeError, match="lake is to be had on Databricks alone"):
        open_bucket("orders-data", "lake")
