"""databricks.yml, held against the models of Databricks' own package for bundles, and against the feeds."""

import tomllib
from typing import Any

import pytest
from databricks.bundles.alerts import Alert
from databricks.bundles.jobs import Job
from databricks.bundles.schemas import Schema

from ingestion.native.batch import JobBatch
from ingestion.pipeline.feed_files import feed_files, read_feed_files
from tests.bundle.reading import read_bundle, resources
from tests.conftest import REPO

GIVEN = {"bucket": "orders-data", "catalog": "main", "warehouse_id": "0123456789abcdef"}
PEOPLE = {"alert_emails": ["ann@example.com"], "alert_subscriptions": [{"user_email": "ann@example.com"}]}
MODELS = {"jobs": Job, "schemas": Schema, "alerts": Alert}
FILES = "/Workspace/Shared/.bundle/gcs-delta-ingestion/test/files"
BUNDLE = resources(GIVEN | PEOPLE, FILES)


def jobs_of_feeds() -> dict[str, dict[str, Any]]:
    return {name: job for name, job in BUNDLE["jobs"].items() if name not in ("hourly", "maintenance")}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, named in BUNDLE.items() for name in named])
def test_each_resource_is_one_that_databricks_knows(kind: str, name: str) -> None:
    MODELS[kind].from_dict(BUNDLE[kind][name])


def test_the_models_refuse_what_databricks_would_drop_in_silence() -> None:
    for wrong in ({"max_concurent_runs": 1}, {"performance_target": "FAST"}):
        with pytest.raises((TypeError, ValueError)):
            Job.from_dict(BUNDLE["jobs"]["order_tracking"] | wrong)


def test_every_variable_is_said_and_used() -> None:
    text = "".join(path.read_text() for path in (REPO / "databricks.yml", *(REPO / "resources").glob("*.yml")))
    for name, variable in read_bundle()["variables"].items():
        assert variable["description"], name
        assert f"${{var.{name}}}" in text, name
    with pytest.raises(KeyError, match=r"var\.catalog"):
        resources({name: value for name, value in GIVEN.items() if name != "catalog"}, FILES)


def test_each_feed_has_a_job_that_the_hourly_one_starts() -> None:
    files, problems = read_feed_files(feed_files(REPO / "dags/feeds"))
    assert not problems
    described = {file.feed.name: file.feed.description for file in files}
    assert {name: job["description"] for name, job in jobs_of_feeds().items()} == described
    for name, job in jobs_of_feeds().items():
        assert job["name"] == name
        assert {"name": "feed", "default": name} in job["parameters"]
    started = {task["task_key"]: task["run_job_task"]["job_id"] for task in BUNDLE["jobs"]["hourly"]["tasks"]}
    assert started == {name: f"${{resources.jobs.{name}.id}}" for name in described}


def test_the_tables_of_all_feeds_are_maintained_and_their_batches_trimmed() -> None:
    maintain, trim = BUNDLE["jobs"]["maintenance"]["tasks"]
    tables = [text for text in maintain["spark_python_task"]["parameters"] if not text.startswith("--")]
    assert tables == [f"main.orders.{name}" for name in jobs_of_feeds()]
    assert (REPO / "resources" / maintain["spark_python_task"]["python_file"]).is_file()
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert trim["python_wheel_task"]["entry_point"] in project["entry-points"]["ingestion.native"]


@pytest.mark.parametrize("job", jobs_of_feeds().values(), ids=jobs_of_feeds())
def test_a_job_runs_once_at_a_time_and_repeats_nothing_by_itself(job: dict[str, Any]) -> None:
    assert (job["max_concurrent_runs"], job["queue"]) == (1, {"enabled": True})
    assert job["trigger"]["file_arrival"] == {"url": "gs://orders-data/source/"}
    order = [(task["task_key"], [other["task_key"] for other in task.get("depends_on", [])]) for task in job["tasks"]]
    assert order == [("plan", []), ("stage", ["plan"]), ("merge", ["stage"]), ("archive", ["merge"])]
    for task in job["tasks"]:
        assert (task["max_retries"], task["disable_auto_optimization"]) == (0, True)
        assert task["timeout_seconds"] > 0
        assert "run_if" not in task, "archive comes after a merge that has succeeded"


def test_all_four_tasks_mean_the_same_batch() -> None:
    (uri,) = {
        parameters[parameters.index("--manifest") + 1]
        for job in jobs_of_feeds().values()
        for task in job["tasks"]
        for parameters in [(task.get("python_wheel_task") or task["spark_python_task"])["parameters"]]
    }
    run = uri.replace("{{job.parameters.feed}}", "order_tracking").replace("{{job.run_id}}", "7")
    assert JobBatch.at(run) == JobBatch("orders-data", "order_tracking", "job-7", "7")


def test_what_the_tasks_name_is_there() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    for task in BUNDLE["jobs"]["order_tracking"]["tasks"]:
        if wheel := task.get("python_wheel_task"):
            assert wheel["package_name"] == project["name"]
            assert wheel["entry_point"] in project["entry-points"]["ingestion.native"]
        else:
            assert (REPO / "resources" / task["spark_python_task"]["python_file"]).is_file()
