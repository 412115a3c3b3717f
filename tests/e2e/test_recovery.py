"""A dead dependency under a running Airflow: bounded tries, a paused DAG, every file still there; then all is loaded.

Shares the stack and its story with test_pipeline.py; they leave the DAG running and `source/` empty.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile

import psutil
import pytest
from google.cloud.storage import Bucket

from local.health import listens
from tests.conftest import REPO, Stack
from tests.e2e.clients import DAG, ENDED, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.story import FIRST_DAY, assert_target, names, wait_until_archived
from tests.oracle import Delivery

TRIES = 3
FAILED_RUNS_BEFORE_PAUSE = 3


@contextmanager
def held_supervisor(stack: Stack) -> Iterator[None]:
    """What dies meanwhile stays dead: its supervisor restarts it only afterwards."""
    supervisor = stack.state.pid
    os.kill(supervisor, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


def kill(stack: Stack, component: str) -> None:
    """Kill the process of a component and all its children."""
    leader = psutil.Process(next(found.pid for found in stack.state.components if found.name == component))
    for process in (*leader.children(recursive=True), leader):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@contextmanager
def databricks_with_another_token(stack: Stack) -> Iterator[None]:
    """The Databricks service refuses the token of Airflow's connection."""
    port = stack.state.ports["databricks"]
    folders = {"home": stack.home.root / "other", "workspace": stack.home.workspace}
    options = [f"--{name}={value}" for name, value in folders.items()]
    command = [sys.executable, "-m", "local.databricks", f"--port={port}", *options]
    with held_supervisor(stack):
        kill(stack, "databricks")
        service = subprocess.Popen(
            [*command, f"--spark-remote={stack.env['SPARK_REMOTE']}"],
            cwd=REPO,
            env=os.environ | {"DATABRICKS_TOKEN": "another"},
        )
        try:
            wait_for("the service with another token", lambda: listens("127.0.0.1", port))
            yield
        finally:
            service.terminate()
            service.wait()


@pytest.fixture(scope="module")
def refused(stack: Stack, airflow: Airflow, deliveries: Deliveries) -> Delivery:
    """A late file, which three runs could not load for a wrong token; the DAG is paused. The right token is back."""
    wait_for("a live run waits", airflow.waiting_run)
    with databricks_with_another_token(stack):
        text = FIRST_DAY.replace("2026-11-20", "2026-11-21")
        delivery = deliveries.put("order_tracking_2026_11_15.csv", text)
        wait_for("the DAG paused", airflow.paused)
        wait_for("no run left", lambda: all(run["state"] in ENDED for run in airflow.runs(DAG)))
    wait_for("the service is back", lambda: _component(stack, "databricks") == "running")
    return delivery


def test_a_wrong_token_fails_three_runs_pauses_the_dag_and_loses_no_file(
    airflow: Airflow, live_bucket: Bucket, refused: Delivery
) -> None:
    # In a row by the times that the runs are for: one that already waited may be for a time before the last green one.
    failed = [run["dag_run_id"] for run in takewhile(lambda run: run["state"] == "failed", airflow.runs(DAG))]
    assert len(failed) == FAILED_RUNS_BEFORE_PAUSE
    for run in failed:
        stage = airflow.tasks(DAG, run)["stage"]
        assert (stage["state"], stage["try_number"]) == ("failed", TRIES)
        assert airflow.states(run)["archive"] == "upstream_failed"
    last_words = airflow.log(DAG, failed[0], stage)
    assert "token" in last_words.lower(), last_words
    assert names(live_bucket, "source/") == [refused.object]


def test_the_watch_tells_of_the_pause_once(stack: Stack, airflow: Airflow, refused: Delivery) -> None:
    assert refused.object
    watch = Airflow(stack.home, "ingestion_watch")
    logs = []
    for _ in range(2):
        run = watch.trigger()
        wait_for("the watch has looked", lambda run=run: watch.state(run) in ENDED)
        pauses = [text for text in watch.returned(run, "watch") if text.startswith(f"DAG {airflow.dag} is paused")]
        assert "The last run that failed is scheduled__" in pauses[0]
        assert "1 file(s) wait in gs://orders-data/source/" in pauses[0]
        logs.append(watch.log(watch.dag, run, watch.tasks(watch.dag, run)["watch"]))
    # The first look may have been that of a run by itself.
    assert "thing(s) need a look" not in logs[1]


def test_what_was_left_is_loaded_as_soon_as_the_dag_is_no_longer_paused(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries, refused: Delivery
) -> None:
    airflow.unpause()
    wait_until_archived(airflow, live_bucket, refused)
    assert_target(lakehouse, deliveries)


@pytest.mark.soak
def test_a_spark_server_killed_under_a_run_fails_the_try_and_the_next_loads_the_file(
    stack: Stack, airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    wait_for("a live run waits", airflow.waiting_run)
    delivery = deliveries.put("order_tracking_2026_11_13.csv", FIRST_DAY.replace("2026-11-20", "2026-11-23"))
    wait_for("stage runs", lambda: airflow.run_with_job("stage"))
    kill(stack, "spark")
    run = wait_until_archived(airflow, live_bucket, delivery)
    assert airflow.tasks(DAG, run)["stage"]["try_number"] > 1
    assert_target(lakehouse, deliveries)


@pytest.mark.soak
def test_an_outage_of_databricks_is_waited_out_by_one_run_and_pauses_nothing(
    stack: Stack, airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    wait_for("a live run waits", airflow.waiting_run)
    with held_supervisor(stack):
        kill(stack, "databricks")
        text = FIRST_DAY.replace("2026-11-20", "2026-11-22")
        delivery = deliveries.put("order_tracking_2026_11_14.csv", text)
        run = wait_for("stage runs", lambda: airflow.newest_run("stage", "running", "up_for_retry"))
        # Each takes some seconds until the hook gives up, and a pause.
        wait_for("more tries than a mistake has", lambda: airflow.tasks(DAG, run)["stage"]["try_number"] > TRIES, 400)
    assert wait_until_archived(airflow, live_bucket, delivery) == run
    assert not airflow.paused()
    assert_target(lakehouse, deliveries)


def _component(stack: Stack, name: str) -> str:
    return next(found.state for found in stack.state.components if found.name == name)
