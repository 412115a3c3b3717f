"""The DAG files as Airflow parses them: what they build, and what a wrong feed does to the others."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError
from airflow.sdk.execution_time import macros

from ingestion.pipeline.feeds import Feed
from ingestion.tasks.patience import RETRIES, WaitOutages
from tests.conftest import REPO
from tests.dags.conftest import parse

# The DAGs that are not one feed's.
OF_ALL = ["ingestion_check", "ingestion_erase", "ingestion_maintenance", "ingestion_watch"]


def parse_one(folder: Path) -> DAG:
    bag = parse(folder)
    assert bag.import_errors == {}
    return bag.dags["order_tracking"]


def test_every_feed_has_a_dag_of_its_name_and_one_looks_after_all(dags: Path) -> None:
    bag = parse(dags)
    assert bag.import_errors == {}
    assert set(bag.dags) == {*(path.stem for path in (dags / "feeds").glob("*.yaml")), *OF_ALL}
    assert sorted(bag.dags) == [*OF_ALL, "order_tracking", "parcel_invoices", "user_activity"]
    (watch,) = bag.dags["ingestion_watch"].tasks
    ((bucket, watched),) = watch.buckets.items()
    assert bucket == "orders-data"
    assert [feed["name"] for feed in watched["feeds"]] == ["order_tracking", "parcel_invoices", "user_activity"]


def stock(operator: type) -> str:
    """The operator of Airflow or a provider that this one is."""
    return next(kind.__name__ for kind in operator.__mro__ if kind.__module__.startswith("airflow."))


def test_structure(dags: Path) -> None:
    dag = parse_one(dags)
    assert {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} == {
        "detect_new_files": ["plan_batch"],
        "plan_batch": ["archive", "stage"],
        "stage": ["merge"],
        "merge": ["archive"],
        "archive": [],
    }
    assert {task.task_id: stock(type(task)) for task in dag.tasks} == {
        "detect_new_files": "GCSObjectsWithPrefixExistenceSensor",
        "plan_batch": "BaseBranchOperator",
        "stage": "DatabricksSubmitRunOperator",
        "merge": "DatabricksSubmitRunOperator",
        "archive": "GCSToGCSOperator",
    }


def test_limits_that_keep_runs_serial_and_failures_bounded(dags: Path) -> None:
    dag = parse_one(dags)
    assert (dag.max_active_runs, dag.catchup, dag.max_consecutive_failed_dag_runs) == (1, False, 3)
    assert {task.retries for task in dag.tasks} == {RETRIES}
    assert all(isinstance(task.retry_policy, WaitOutages) for task in dag.tasks)
    assert {task.task_id: task.max_active_tis_per_dag for task in dag.tasks if task.max_active_tis_per_dag} == {
        "stage": 1,
        "merge": 1,
    }


def test_a_job_is_waited_for_as_the_settings_say(dags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTION_RUN_WAIT_SECONDS", "2.5")
    monkeypatch.setenv("INGESTION_RUN_POLL_SECONDS", "7")
    dag = parse_one(dags)
    for step in ("stage", "merge"):
        job = dag.get_task(step)
        assert (job.wait_seconds, job.polling_period_seconds) == (2.5, 7)


def test_the_docstring_is_the_runbook(dags: Path) -> None:
    doc = parse_one(dags).doc_md
    assert doc
    assert "gs://orders-data/source/" in doc
    assert "orders.order_tracking_quarantine" in doc
    assert "{" not in doc.replace(r"\d{4}_\d{2}_\d{2}", "")


def test_a_wrong_feed_is_an_import_error_and_leaves_the_others_alone(dags: Path) -> None:
    (dags / "feeds/broken.yaml").write_text("description: no columns\npattern: x\n")
    bag = parse(dags)
    assert sorted(bag.dags) == [*OF_ALL, "order_tracking", "parcel_invoices", "user_activity"]
    ((file, message),) = bag.import_errors.items()
    assert Path(file).name == "feeds_check.py"
    assert "broken.yaml: columns: Field required" in message


def test_a_new_feed_needs_only_its_yaml(dags: Path) -> None:
    text = (dags / "feeds/order_tracking.yaml").read_text()
    (dags / "feeds/returns.yaml").write_text(text.replace("order_tracking_", "returns_"))
    everyone = [*OF_ALL, "order_tracking", "parcel_invoices", "returns", "user_activity"]
    assert sorted(parse(dags).dags) == everyone


@pytest.mark.parametrize("only", [None, "orders", "orders_returns"])
def test_feeds_that_overlap_are_an_import_error_and_both_go_on_knowing_of_each_other(
    dags: Path, monkeypatch: pytest.MonkeyPatch, only: str | None
) -> None:
    text = (dags / "feeds/order_tracking.yaml").read_text()
    pattern = r"order_tracking_(?P<date>\d{4}_\d{2}_\d{2})\.csv"
    (dags / "feeds/orders.yaml").write_text(text.replace(pattern, "orders_.*"))
    (dags / "feeds/orders_returns.yaml").write_text(text.replace(pattern, "orders_returns_.*"))
    if only:  # as a task parses the file
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", only)
    bag = parse(dags)
    everyone = [*OF_ALL, "order_tracking", "orders", "orders_returns", "parcel_invoices", "user_activity"]
    assert sorted(bag.dags) == ([only] if only else everyone)
    ((file, message),) = bag.import_errors.items()
    assert Path(file).name == "feeds_check.py"
    assert "orders.yaml and orders_returns.yaml: the patterns of both fit source/orders_returns_" in message
    for name in [only] if only else ["orders", "orders_returns"]:
        for task in ("detect_new_files", "plan_batch"):
            feed = Feed.model_validate(bag.dags[name].get_task(task).feed)
            assert feed.is_contested("source/orders_returns_1.csv")


def test_a_wrong_setting_is_one_import_error_that_names_it(dags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTION_COMPUTE", "large")
    ((file, message),) = parse(dags).import_errors.items()
    assert Path(file).name == "feeds_check.py"
    assert "INGESTION_COMPUTE: neither `serverless` nor JSON" in message


def test_a_cron_line_replaces_the_timetable(dags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(parse_one(dags).timetable).__name__ == "FileArrivalTimetable"
    monkeypatch.setenv("INGESTION_SCHEDULE", "*/10 * * * *")
    timetable = parse_one(dags).timetable
    assert type(timetable).__name__ == "CronTriggerTimetable"
    assert timetable.expression == "*/10 * * * *"


def test_a_dag_as_the_contract_shows_it_waits_for_the_table(dags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tests/e2e/test_new_feed.py runs it."""
    (code,) = re.findall(r"```python\n(.*?)```", (REPO / "docs/contract.md").read_text(), re.DOTALL)
    (dags / "shipment_report.py").write_text(code)
    monkeypatch.setenv("INGESTION_SCHEMA", "main.orders")
    bag = parse(dags)
    assert bag.import_errors == {}
    (produced,) = bag.dags["order_tracking"].get_task("merge").outlets
    report = bag.dags["shipment_report"]
    assert report.schedule == [produced]
    events = [SimpleNamespace(extra={"batch_id": batch, "rows_inserted": 2}) for batch in ("b1", "b1", "b2")]
    events.append(SimpleNamespace(extra={"batch_id": "b3"}))
    told = report.get_task("report").python_callable({produced: events})
    assert told == {"b1": 2, "b2": 2, "b3": None}


def test_somebody_is_erased_by_hand_alone_and_the_list_goes_last(dags: Path) -> None:
    dag = parse(dags).dags["ingestion_erase"]
    assert (dag.schedule, dag.max_active_runs) == (None, 1)
    assert {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} == {
        "plan_erasure": ["erase"],
        "erase": ["remove_list"],
        "remove_list": [],
    }
    assert stock(type(dag.get_task("erase"))) == "DatabricksSubmitRunOperator"
    assert {task.trigger_rule for task in dag.tasks} == {"all_success"}
    assert all(isinstance(task.retry_policy, WaitOutages) for task in dag.tasks)
    (job,) = dag.get_task("erase").payloads["order_tracking"]["tasks"]
    assert job["spark_python_task"]["python_file"].endswith("/erase.py")
    assert job["spark_python_task"]["parameters"][0] == "--request"
    assert "into the bucket of the feed (`gs://orders-data`)" in dag.doc_md


@pytest.mark.parametrize(
    ("form", "is_right"),
    [
        ({"feed": "order_tracking"}, True),
        ({"feed": "order_tracking", "keys": "erase/of_november.txt", "finish": True}, True),
        ({}, False),
        ({"feed": "no_feed"}, False),
        # It is deleted afterwards, so it is no object of anybody else.
        ({"feed": "order_tracking", "keys": "source/order_tracking_2026_11_20.csv"}, False),
        ({"feed": "order_tracking", "keys": "erase/requests/other.json"}, False),
    ],
)
def test_the_form_of_an_erasure_takes_a_feed_and_a_list_in_its_folder(
    dags: Path, form: dict[str, object], is_right: bool
) -> None:
    params = parse(dags).dags["ingestion_erase"].params
    if is_right:
        assert filled(params, form)["feed"] == "order_tracking"
        return
    with pytest.raises(ParamValidationError):
        filled(params, form)


def filled(params: ParamsDict, form: dict[str, object]) -> dict[str, object]:
    """What a run gets of a form, as Airflow checks it."""
    params.update(form)
    return params.validate()


def test_a_check_is_made_by_hand_alone_and_once(dags: Path) -> None:
    dag = parse(dags).dags["ingestion_check"]
    (check,) = dag.tasks
    assert (dag.schedule, dag.max_active_runs, check.retries) == (None, 1, 0)
    assert check.folder == str(dags)
    assert filled(dag.params, {}) == {"run": True}
    assert filled(dag.params, {"run": False}) == {"run": False}


def test_tables_of_all_feeds_are_maintained_by_one_run_a_week(dags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTION_SCHEMA", "main.orders")
    monkeypatch.setenv("INGESTION_KEEP_DAYS", "60")
    dag = parse(dags).dags["ingestion_maintenance"]
    assert (type(dag.timetable).__name__, dag.timetable.expression) == ("CronTriggerTimetable", "30 2 * * 6")
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert {task.task_id: stock(type(task)) for task in dag.tasks} == {
        "maintain": "DatabricksSubmitRunOperator",
        "trim_batches": "BaseOperator",
    }
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {"maintain": set(), "trim_batches": set()}
    assert all(isinstance(task.retry_policy, WaitOutages) for task in dag.tasks)
    assert dag.get_task("trim_batches").keep == timedelta(days=60)
    (job,) = dag.get_task("maintain").json["tasks"]
    assert job["spark_python_task"]["python_file"].endswith("/maintain.py")
    name, _, option, days, *targets = job["spark_python_task"]["parameters"]
    assert (name, option, days) == ("--maintenance-id", "--keep-days", "60")
    assert targets == [f"main.orders.{feed}" for feed in ("order_tracking", "parcel_invoices", "user_activity")]
    assert "{" not in dag.doc_md


def test_a_maintenance_has_an_id_of_its_own_that_a_token_has_room_for(dags: Path) -> None:
    task = parse(dags).dags["ingestion_maintenance"].get_task("maintain")
    at = datetime(2026, 11, 28, 2, 30, tzinfo=UTC)

    def rendered(run_id: str) -> str:
        context = {"dag_run": SimpleNamespace(run_after=at), "run_id": run_id, "macros": macros}
        return task.render_template(task.idempotency_token, context)

    ids = {rendered(run_id) for run_id in ("scheduled__2026-11-28T02:30:00+00:00", "x" * 250)}
    assert len(ids) == 2
    assert all(text.startswith("20261128T023000Z-") and len(text) <= 64 - len("-99") for text in ids)
