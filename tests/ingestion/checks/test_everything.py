"""All checks in their order: what depends on a failed one is skipped, no secret is told, and nothing is left behind."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Bucket

from ingestion.checks.everything import everything
from ingestion.pipeline.environments import Environment
from ingestion.pipeline.findings import Check, Finding, ok
from tests.bucket_server import BucketServer
from tests.conftest import REPO
from tests.faults import answers
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Answer
from tests.ingestion.checks.conftest import GET, NO_RUN, SUBMIT, connection, lines, refusal

Checked = Callable[..., list[Finding]]


def of_airflow(environment: Environment) -> Check[None]:
    yield ok("Airflow", "of a test")


@pytest.fixture
def proxy(bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What the checks reach the bucket through."""
    with FaultProxy(lambda: bucket_server.url).running() as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.port}")
        yield proxy


@pytest.fixture
def checked(bucket: Bucket, databricks: FaultProxy) -> Checked:
    """Check everything, and see that nothing is left in the bucket."""
    databricks.fail("GET", GET, NO_RUN, times=None)
    variables = {"INGESTION_JOBS": "/Workspace/Shared", "INGESTION_BUCKET": bucket.name}

    def check(
        run: bool = False,
        of_airflow: Callable[..., Check[None]] = of_airflow,
        folder: Path = REPO / "dags",
        **changed: str,
    ) -> list[Finding]:
        found = list(everything(folder, variables | changed, of_airflow, run))
        assert [blob.name for blob in bucket.client.list_blobs(bucket.name)] == []
        return found

    return check


def test_each_thing_is_a_line(checked: Checked, bucket: Bucket) -> None:
    found = checked()
    name = f"bucket {bucket.name}"
    of_bucket = [name, *(f"{name}, {rule}" for rule in ("retention", "default hold", "versioning", "soft delete"))]
    prefixes = [f"{name}, {prefix}" for prefix in ("source/", "archive/", "rejected/", "erase/", "batches/")]
    connections = ["connection databricks_default", "Databricks, databricks_default", "connection google_cloud_default"]
    assert list(lines(found, "ok")) == [
        *("settings", "feeds", "Airflow", *connections),
        *(*of_bucket, *prefixes, f"{name}, delete in batches/"),
    ]
    assert list(lines(found, "warn")) == ["alerts"]
    assert list(lines(found, "skipped")) == ["Databricks run"]
    assert list(lines(found, "FAIL")) == []


def test_without_settings_nothing_is_asked(checked: Checked, databricks: FaultProxy) -> None:
    found = checked(INGESTION_POLL_SECONDS="soon")
    assert list(lines(found, "FAIL")) == ["settings"]
    assert list(lines(found, "skipped")) == ["alerts", "bucket", "Databricks"]
    assert databricks.seen("GET", GET) == []


def test_without_a_bucket_the_rest_is_looked_at(checked: Checked, databricks: FaultProxy) -> None:
    databricks.fail("POST", SUBMIT, refusal(400, "INVALID_PARAMETER_VALUE", "no such cluster"))
    found = checked(INGESTION_BUCKET="nothing-of-this-name", run=True)
    assert list(lines(found, "FAIL")) == ["bucket nothing-of-this-name", "Databricks run, databricks_default"]
    assert list(lines(found, "skipped")) == ["external location"]


def test_without_databricks_no_run_is_started(checked: Checked, databricks: FaultProxy) -> None:
    databricks.heal()
    databricks.fail("GET", GET, refusal(403, "403", "Invalid access token."))
    found = checked(run=True)
    assert list(lines(found, "FAIL")) == ["Databricks, databricks_default"]
    assert lines(found, "skipped") == {"Databricks run": "Databricks cannot be asked, see above"}
    assert databricks.seen("POST", SUBMIT) == []


@pytest.mark.parametrize("conn_id", ["google_cloud_default", "databricks_default"])
def test_a_missing_connection_is_a_line_and_what_needs_it_is_skipped(
    checked: Checked, monkeypatch: pytest.MonkeyPatch, conn_id: str
) -> None:
    monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")
    found = checked(run=False)
    ((name, text),) = lines(found, "FAIL").items()
    assert name == f"connection {conn_id}"
    assert f"airflow connections add {conn_id}" in text
    assert "it has no connection" in lines(found, "skipped").values()


def test_a_key_that_is_none(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    key = json.dumps({"type": "service_account", "private_key": "S3CRET-of-google"})
    google = {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": key}}
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(google))
    found = checked()
    (text,) = lines(found, "FAIL").values()
    assert "connection google_cloud_default gives no credentials" in text
    assert "S3CRET" not in str(found)


def test_no_token_is_told_though_an_error_quotes_it(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line break at its end, as of a file, makes requests quote the header with it."""
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", connection(port=1, token="S3CRET-of-a-file\n"))
    (text,) = lines(checked(), "FAIL").values()
    assert "cannot be asked (ValueError: Invalid header value" in text
    assert "S3CRET" not in text


def test_where_nothing_can_be_deleted_nothing_is_written(
    checked: Checked, bucket: Bucket, proxy: FaultProxy, databricks: FaultProxy
) -> None:
    kept = json.dumps({"kind": "storage#bucket", "retentionPolicy": {"retentionPeriod": "86400"}})
    proxy.fail("GET", rf"/b/{bucket.name}(\?|$)", Answer(200, kept), times=None)
    found = checked()
    assert list(lines(found, "FAIL")) == [f"bucket {bucket.name}, retention"]
    assert f"bucket {bucket.name}, batches/" in lines(found, "skipped")
    created = [request for request in proxy.seen("POST", "^/upload/") if "ifGenerationMatch=1" not in request.target]
    assert created == []


def test_a_bucket_that_fails_in_between_is_told_and_the_rest_goes_on(
    checked: Checked, bucket: Bucket, proxy: FaultProxy
) -> None:
    proxy.fail("DELETE", "/o/rejected/", answers.gcs(403, "no delete"))
    assert list(lines(checked(), "FAIL")) == [f"bucket {bucket.name}, rejected/"]


def test_the_probe_goes_also_where_the_run_is_refused(checked: Checked, databricks: FaultProxy) -> None:
    databricks.fail("POST", SUBMIT, refusal(400, "INVALID_PARAMETER_VALUE", "no such cluster"))
    found = checked(run=True)
    assert list(lines(found, "FAIL")) == ["Databricks run, databricks_default"]


def test_a_bug_is_a_line_and_the_others_are_looked_at(checked: Checked) -> None:
    def broken(environment: Environment) -> Check[None]:
        yield ok("first", "fine")
        raise AttributeError("a bug")

    found = checked(of_airflow=broken)
    assert list(lines(found, "FAIL")) == ["Airflow"]
    assert len(lines(found, "ok")) > 10


def test_a_feed_with_a_bucket_and_people_of_its_own_is_a_place_of_its_own(
    checked: Checked, bucket: Bucket, databricks: FaultProxy, tmp_path: Path
) -> None:
    """What feeds have in common is looked at once."""
    databricks.fail("POST", SUBMIT, *[refusal(400, "INVALID_PARAMETER_VALUE", "no such cluster")] * 2)
    dags = Path(shutil.copytree(REPO / "dags", tmp_path / "dags"))
    own = {"bucket": "of-another-team", "alert_email": "them@example.com"}
    with (dags / "feeds/user_activity.yaml").open("a") as file:
        file.write(f"settings: {json.dumps(own)}\n")
    found = checked(run=True, folder=dags)
    assert f"bucket {bucket.name}" in lines(found, "ok")
    assert list(lines(found, "FAIL")) == [
        "alerts, mail to them@example.com",
        "Databricks run, databricks_default",
        "bucket of-another-team",
    ]
    assert len(databricks.seen("POST", SUBMIT)) == 2
