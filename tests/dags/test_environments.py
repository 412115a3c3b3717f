"""Two environments in one Airflow, and feeds with settings of their own, as Airflow parses them."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import DAG, BaseNotifier, Context
from airflow.serialization.serialized_objects import DagSerialization

from ingestion import alerts
from ingestion.pipeline.feeds import Feed
from tests.dags.conftest import copy_of_dags, parse

FEEDS = ["order_tracking", "parcel_invoices", "user_activity"]
OF_ALL = ["ingestion_check", "ingestion_erase", "ingestion_maintenance", "ingestion_watch"]
DEV = {
    "dag_prefix": "dev_",
    "bucket": "orders-dev",
    "schema": "dev.orders",
    "google_connection": "google_dev",
    "databricks_connection": "databricks_dev",
    "compute": {"existing_cluster_id": "0923-dev"},
    "git_url": "https://github.com/example/pipeline",
    "git_ref": "branch:main",
}


@pytest.fixture
def dev(dags: Path) -> Path:
    """A second environment in a folder of the first."""
    folder = copy_of_dags(dags / "dev")
    (folder / "settings.yaml").write_text(yaml.safe_dump(DEV))
    return folder


def of_its_own(feed_file: Path, **settings: object) -> None:
    """Give a feed settings of its own."""
    feed_file.write_text(feed_file.read_text() + yaml.safe_dump({"settings": settings}))


def places(dag: DAG) -> dict[str, Any]:
    """Where the tasks of a feed's DAG look, load and submit."""
    tasks = {task.task_id: task for task in dag.tasks}
    return {
        "bucket": {
            tasks["detect_new_files"].bucket,
            tasks["plan_batch"].bucket,
            tasks["stage"].bucket,
            tasks["merge"].bucket,
            tasks["archive"].source_bucket,
            tasks["archive"].destination_bucket,
        },
        "schema": tasks["plan_batch"].schema,
        "asset": tasks["merge"].outlets[0].name,
        "google_connection": {
            tasks["detect_new_files"].google_cloud_conn_id,
            *(tasks[name].gcp_conn_id for name in ("plan_batch", "stage", "merge", "archive")),
        },
        "databricks_connection": {tasks["stage"].databricks_conn_id, tasks["merge"].databricks_conn_id},
        "cluster": tasks["stage"].json["tasks"][0].get("existing_cluster_id"),
        "script": tasks["stage"].json["tasks"][0]["spark_python_task"]["python_file"],
    }


def test_two_folders_are_two_sets_of_dags(dags: Path, dev: Path) -> None:
    bag = parse(dags)
    assert bag.import_errors == {}
    assert sorted(bag.dags) == sorted([*FEEDS, *OF_ALL, *(f"dev_{name}" for name in [*FEEDS, *OF_ALL])])
    assert {name for name, dag in bag.dags.items() if dag.tags == {"ingestion", "dev"}} == {
        name for name in bag.dags if name.startswith("dev_")
    }
    assert places(bag.dags["order_tracking"]) == {
        "bucket": {"orders-data"},
        "schema": "orders",
        "asset": "orders.order_tracking",
        "google_connection": {"google_cloud_default"},
        "databricks_connection": {"databricks_default"},
        "cluster": None,
        "script": "/Workspace/Shared/ingestion/spark_jobs/stage.py",
    }
    assert places(bag.dags["dev_order_tracking"]) == {
        "bucket": {"orders-dev"},
        "schema": "dev.orders",
        "asset": "dev.orders.order_tracking",
        "google_connection": {"google_dev"},
        "databricks_connection": {"databricks_dev"},
        "cluster": "0923-dev",
        "script": "spark_jobs/stage.py",
    }
    assert "airflow dags backfill dev_order_tracking -s" in bag.dags["dev_order_tracking"].doc_md
    assert bag.dags["dev_order_tracking"].get_task("stage").run_name.startswith("dev_order_tracking stage ")
    (watch,) = bag.dags["dev_ingestion_watch"].tasks
    assert {bucket: place["gcp_conn_id"] for bucket, place in watch.buckets.items()} == {"orders-dev": "google_dev"}
    assert "gs://orders-dev/batches/dev_ingestion_watch.json" in bag.dags["dev_ingestion_watch"].doc_md


@pytest.mark.parametrize("name", ["dev_order_tracking", "dev_ingestion_watch", "dev_ingestion_erase"])
def test_a_task_builds_its_own_dag_alone(dev: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", name)
    assert sorted(parse(dev).dags) == [name]


def test_a_feed_has_the_settings_of_its_yaml(dags: Path) -> None:
    of_its_own(dags / "feeds/user_activity.yaml", bucket="activity", schema="web", google_connection="google_web")
    dags_by_id = parse(dags).dags
    web, orders = places(dags_by_id["user_activity"]), places(dags_by_id["order_tracking"])
    assert (web["bucket"], web["schema"], web["google_connection"]) == ({"activity"}, "web", {"google_web"})
    assert (orders["bucket"], orders["schema"]) == ({"orders-data"}, "orders")
    for task in dags_by_id["user_activity"].tasks:
        assert "settings" not in getattr(task, "feed", {})
    (watch,) = dags_by_id["ingestion_watch"].tasks
    assert {name: [feed["name"] for feed in place["feeds"]] for name, place in watch.buckets.items()} == {
        "activity": ["user_activity"],
        "orders-data": ["order_tracking", "parcel_invoices"],
    }
    plan, erase, remove = (dags_by_id["ingestion_erase"].get_task(n) for n in ("plan_erasure", "erase", "remove_list"))
    assert plan.buckets["user_activity"] == remove.buckets["user_activity"] == ("google_web", "activity")
    assert plan.schemas == {"order_tracking": "orders", "parcel_invoices": "orders", "user_activity": "web"}
    assert set(erase.connections.values()) == {"databricks_default"}


def test_tables_are_maintained_and_batches_trimmed_where_they_are(dags: Path) -> None:
    cluster = {"existing_cluster_id": "0923-web"}
    of_its_own(dags / "feeds/user_activity.yaml", bucket="activity", google_connection="google_web", compute=cluster)
    of_its_own(dags / "feeds/parcel_invoices.yaml", schema="finance")
    dag = parse(dags).dags["ingestion_maintenance"]
    runs = {name: dag.get_task(name).json["tasks"][0] for name in ("maintain", "maintain_2")}
    targets = {name: job["spark_python_task"]["parameters"][4:] for name, job in runs.items()}
    assert targets == {
        "maintain": ["orders.order_tracking", "finance.parcel_invoices"],
        "maintain_2": ["orders.user_activity"],
    }
    assert runs["maintain_2"]["existing_cluster_id"] == "0923-web"
    trim = dag.get_task("trim_batches")
    assert trim.buckets == {"activity": "google_web", "orders-data": "google_cloud_default"}
    assert len({task.idempotency_token for task in dag.tasks if task is not trim}) == 2


def test_an_erasure_is_submitted_where_the_tables_of_its_feed_are(dags: Path) -> None:
    of_its_own(
        dags / "feeds/user_activity.yaml", databricks_connection="web", compute={"existing_cluster_id": "0923-web"}
    )
    for feed, connection, cluster in [
        ("user_activity", "web", "0923-web"),
        ("order_tracking", "databricks_default", None),
    ]:
        task = parse(dags).dags["ingestion_erase"].get_task("erase")
        context = {"params": {"feed": feed}, "ti": Pulling()}
        task.render_template_fields(context)
        assert task.databricks_conn_id == connection
        assert task.json["tasks"][0].get("existing_cluster_id") == cluster
        assert task.json["tasks"][0]["spark_python_task"]["parameters"] == ["--request", "request of plan_erasure"]


class Pulling:
    """What templates ask of a task instance."""

    try_number = 1

    def xcom_pull(self, task_ids: str, key: str) -> str:
        return f"{key} of {task_ids}"


def test_feeds_under_one_prefix_overlap_only_in_one_bucket(dags: Path) -> None:
    text = (dags / "feeds/order_tracking.yaml").read_text()
    (dags / "feeds/late.yaml").write_text(text.replace("pattern: order_tracking_", "pattern: order_[a-z]+_"))
    ((_, message),) = parse(dags).import_errors.items()
    assert "late.yaml and order_tracking.yaml: the patterns of both fit source/order_tracking_" in message
    of_its_own(dags / "feeds/late.yaml", bucket="late")
    bag = parse(dags)
    assert bag.import_errors == {}
    for name, others in [("late", []), ("order_tracking", ["parcel_invoices", "user_activity"])]:
        feed = Feed.model_validate(bag.dags[name].get_task("plan_batch").feed)
        assert [other.name for other in feed.others] == others


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("buket: x\n", "settings.yaml: buket: Extra inputs are not permitted"),
        ("bucket: [x\n", "settings.yaml: not readable as YAML"),
        ("poll_seconds: soon\n", "settings.yaml: poll_seconds: Input should be a valid number"),
    ],
)
def test_a_broken_settings_file_is_one_import_error(dags: Path, dev: Path, content: str, message: str) -> None:
    (dev / "settings.yaml").write_text(content)
    bag = parse(dags)
    assert sorted(bag.dags) == sorted([*FEEDS, *OF_ALL]), "the other environment goes on"
    ((file, error),) = bag.import_errors.items()
    assert Path(file) == dev / "feeds_check.py"
    assert message in error


def test_a_wrong_setting_of_a_feed_is_an_import_error_and_leaves_the_others_alone(dags: Path) -> None:
    of_its_own(dags / "feeds/user_activity.yaml", dag_prefix="web_", buket="x")
    bag = parse(dags)
    assert sorted(bag.dags) == sorted({*FEEDS, *OF_ALL} - {"user_activity"})
    (error,) = bag.import_errors.values()
    assert "user_activity.yaml: settings.dag_prefix: is for all feeds alike, not for one" in error
    assert "user_activity.yaml: settings.buket: Extra inputs are not permitted" in error


told: list[tuple[str, str]] = []


class Kept(BaseNotifier):
    """Keeps what it is to tell."""

    def __init__(self, *, to: str, text: str) -> None:
        super().__init__()
        self.to, self.text = to, text

    def notify(self, context: Context) -> None:
        told.append((self.to, self.text))


def channels(to: str) -> list[dict[str, str]]:
    return [{"notifier": f"{__name__}.Kept", "to": to, "text": "{subject}"}]


def test_each_dag_tells_the_people_of_its_feed_else_of_its_environment(
    dags: Path, dev: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("INGESTION_ALERT_CHANNELS", json.dumps(channels("everyone")))
    (dev / "settings.yaml").write_text(yaml.safe_dump(DEV | {"alert_channels": channels("developers")}))
    of_its_own(dev / "feeds/user_activity.yaml", alert_channels=channels("web-team"))
    bag = parse(dags)
    for dag_id, people in [
        ("order_tracking", "everyone"),
        ("ingestion_watch", "everyone"),
        ("dev_order_tracking", "developers"),
        ("dev_ingestion_watch", "developers"),
        ("dev_user_activity", "web-team"),
    ]:
        told.clear()
        # As Airflow calls it for a run that failed without a task.
        bag.dags[dag_id].on_failure_callback({"dag": bag.dags[dag_id], "run_id": "a run"})
        assert told == [(people, f"{dag_id}: run a run failed")]
    (watch,) = bag.dags["dev_ingestion_watch"].tasks
    assert watch.buckets["orders-dev"]["told_as"] == {
        "order_tracking": None,
        "parcel_invoices": None,
        "user_activity": "user_activity",
    }
    told.clear()
    alerts.tell({"dag": bag.dags["dev_ingestion_watch"]}, "late", [], feed="user_activity")
    (dev / "feeds/user_activity.yaml").write_text("settings: {buket: x}")
    alerts.tell({"dag": bag.dags["dev_user_activity"]}, "broken", [])
    (dev / "settings.yaml").write_text("buket: x")
    with caplog.at_level(logging.ERROR):
        alerts.tell({"dag": bag.dags["dev_user_activity"]}, "worse", [])
    assert told == [("web-team", "late"), ("developers", "broken")]
    assert "The message above is sent to nobody: settings.yaml: buket" in caplog.text


def test_no_dag_is_stored_with_the_arguments_of_a_channel(dags: Path, dev: Path) -> None:
    (dev / "settings.yaml").write_text(yaml.safe_dump(DEV | {"alert_channels": channels("S3CRET")}))
    of_its_own(dags / "feeds/user_activity.yaml", alert_channels=channels("S3CRET"), alert_email=["S3CRET@example.com"])
    bag = parse(dags)
    assert bag.import_errors == {}
    stored = {name: json.dumps(DagSerialization.to_dict(dag), default=str) for name, dag in bag.dags.items()}
    assert {name for name, text in stored.items() if "S3CRET" in text} == set()
    # Nor do tasks hold them, of which triggers and rendered fields are made.
    attributes = {name: str([vars(task) for task in dag.tasks]) for name, dag in bag.dags.items()}
    assert {name for name, text in attributes.items() if "S3CRET" in text} == set()
