"""What is said of a Databricks that refuses the login or the run, or whose run finds something: a script answers."""

import json
from typing import Any

import pytest

from ingestion.checks import databricks as module
from ingestion.checks.databricks import check_api, check_run
from ingestion.pipeline.findings import Finding
from ingestion.pipeline.settings import load_settings
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Answer
from tests.ingestion.checks.conftest import GET, NO_RUN, SUBMIT, TOKEN, connection, lines, refusal

CHECK_ID = "20261128T120000Z-0a1b2c3d"
OUTPUT = r"/runs/get-output(\?|$)"
PAGE = "http://127.0.0.1/runs/7"
SETTINGS = load_settings({"INGESTION_JOBS": "/Workspace/Shared", "INGESTION_SCHEMA": "main.orders"})
RUN = "Databricks run, databricks_default"


def api(databricks: FaultProxy, answer: Answer) -> Finding:
    databricks.fail("GET", GET, answer, times=None)
    (finding,) = check_api("databricks_default")
    assert finding.name == "Databricks, databricks_default"
    assert TOKEN not in finding.text
    return finding


def test_a_login_that_is_taken(databricks: FaultProxy) -> None:
    assert api(databricks, NO_RUN).level == "ok"
    asked = databricks.seen("GET", GET)
    assert len(asked) == 1
    assert "runs/get?run_id=4611686018427387904" in asked[0].target


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refusal(401, "401", "Credential was not sent."), "refuses the login (401: Credential was not sent)"),
        (refusal(403, "403", "Invalid access token."), "refuses the login (403: Invalid access token)"),
        (Answer(404, "<html>nothing here</html>"), "no workspace answers so (404"),
        (Answer(302, ""), "see host and login"),
    ],
    ids=["no login", "wrong token", "another server", "moved"],
)
def test_a_login_that_is_not(databricks: FaultProxy, answer: Answer, words: str) -> None:
    finding = api(databricks, answer)
    assert finding.level == "FAIL"
    assert words in finding.text


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", connection(port=1))
    (finding,) = check_api("databricks_default")
    assert finding.level == "FAIL"
    assert "cannot be asked" in finding.text


def run(databricks: FaultProxy, result_state: str | None = "SUCCESS", message: str = "", **output: object) -> None:
    """From now on a run is taken, and over."""
    ended = {"life_cycle_state": "TERMINATED", "result_state": result_state}
    state = (ended if result_state else {"life_cycle_state": "INTERNAL_ERROR"}) | {"state_message": message}
    known = {"run_id": 7, "run_name": "check", "run_page_url": PAGE, "state": state}
    tasks = [{"run_id": 8, "task_key": "check", "attempt_number": 0, "state": state}]
    databricks.fail("POST", SUBMIT, Answer(200, '{"run_id": 7}'))
    databricks.fail("GET", GET, Answer(200, json.dumps(known | {"tasks": tasks})), times=None)
    databricks.fail("GET", OUTPUT, Answer(200, json.dumps(output)), times=None)


def printed(*findings: dict[str, str], **result: Any) -> str:
    """The output of a job that has found this."""
    of_job = {"step": "check", "batch_id": CHECK_ID, "manifest_versions": [1, 2], "findings": findings} | result
    return f"INGESTION_RESULT {json.dumps(of_job)}\n"


def checked(databricks: FaultProxy) -> list[Finding]:
    databricks.fail("GET", GET, NO_RUN)
    check = check_api("databricks_default")
    next(check)
    with pytest.raises(StopIteration) as end:
        next(check)
    hook = end.value.value
    return list(check_run(hook, SETTINGS, CHECK_ID, "gs://b/batches/probe.json"))


def test_what_the_job_has_found_is_told(databricks: FaultProxy) -> None:
    schema = {"level": "FAIL", "name": "schema main.orders", "text": "it does not exist"}
    spark = {"level": "ok", "name": "Spark", "text": "4.1.0"}
    databricks.fail("GET", GET, NO_RUN)
    run(databricks, logs=printed(spark, schema))
    found = checked(databricks)
    assert lines(found, "FAIL") == {"schema main.orders": "it does not exist"}
    assert list(lines(found, "ok")) == ["Databricks run, databricks_default", "Spark", "scripts"]


@pytest.mark.parametrize(
    ("taken", "name", "words"),
    [
        ({"result_state": "FAILED", "error": "FileNotFoundError: check.py"}, RUN, "FileNotFoundError: check.py"),
        ({"result_state": None, "message": "cluster 12 does not exist"}, RUN, "cluster 12 does not exist"),
        ({"logs": "nothing"}, "Databricks run, output", "has printed no result"),
        ({"logs": printed(batch_id="another")}, "Databricks run, output", "has printed no result"),
        ({"logs": printed(manifest_versions=[1])}, "scripts", "version 1, this package writes 2"),
    ],
    ids=["script", "cluster", "no output", "output of another", "old scripts"],
)
def test_a_run_that_is_not_as_it_must_be(databricks: FaultProxy, taken: dict[str, Any], name: str, words: str) -> None:
    databricks.fail("GET", GET, NO_RUN)
    run(databricks, **taken)
    (text,) = lines([finding for finding in checked(databricks) if finding.name == name], "FAIL").values()
    assert words in text


def test_a_run_that_is_refused(databricks: FaultProxy) -> None:
    databricks.fail("POST", SUBMIT, refusal(400, "INVALID_PARAMETER_VALUE", "Cluster 0128 does not exist"))
    (text,) = lines(checked(databricks), "FAIL").values()
    assert "it is refused (Cluster 0128 does not exist): see INGESTION_COMPUTE" in text


def test_a_run_that_cannot_be_waited_for_is_cancelled(databricks: FaultProxy) -> None:
    """As by Ctrl-C, which comes as an error of any request too."""
    databricks.fail("POST", SUBMIT, Answer(200, '{"run_id": 7}'))
    databricks.fail("POST", r"/runs/cancel$", Answer(200, "{}"))
    databricks.fail("GET", GET, NO_RUN, Answer(200, "no json"))
    with pytest.raises(ValueError, match="Expecting value"):
        checked(databricks)
    assert len(databricks.seen("POST", r"/runs/cancel$")) == 1


def test_a_run_that_does_not_end_is_cancelled_and_told(databricks: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUN_SECONDS", -module._GRACE_SECONDS - 1)
    databricks.fail("POST", r"/runs/cancel$", Answer(200, "{}"))
    databricks.fail("GET", GET, NO_RUN)
    pending = {"run_id": 7, "run_page_url": PAGE, "state": {"life_cycle_state": "PENDING", "state_message": ""}}
    databricks.fail("POST", SUBMIT, Answer(200, '{"run_id": 7}'))
    databricks.fail("GET", GET, Answer(200, json.dumps(pending)), times=None)
    (text,) = lines(checked(databricks), "FAIL").values()
    assert text.startswith("it is not over after 0 s (http://127.0.0.1/runs/7). It was cancelled")
    assert len(databricks.seen("POST", r"/runs/cancel$")) == 1
