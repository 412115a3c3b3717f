"""What is said of settings and feed files."""

import shutil
from pathlib import Path

import pytest

from ingestion.checks.configuration import check_configuration
from ingestion.pipeline.findings import Finding
from tests.conftest import REPO

GIT = {"INGESTION_GIT_URL": "https://github.com/example/pipeline", "INGESTION_GIT_REF": "tag:v1.2"}


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REPO / "dags", tmp_path / "dags"))


def found(folder: Path, **variables: str) -> list[Finding]:
    return list(check_configuration(folder, GIT | variables))


def texts(findings: list[Finding], level: str, name: str) -> list[str]:
    return [finding.text for finding in findings if (finding.level, finding.name) == (level, name)]


def test_all_is_right(dags: Path) -> None:
    settings, feeds = map(str, found(dags))
    scripts = "scripts from https://github.com/example/pipeline at tag:v1.2"
    assert settings == f"ok       settings: schema orders, compute serverless, {scripts}"
    assert feeds == "ok       feeds: order_tracking, parcel_invoices, user_activity are right"


def test_each_problem_of_a_feed_is_a_line_and_no_folder_is_one(dags: Path) -> None:
    (dags / "feeds/returns.yaml").write_text("description: x\npattern: y\n")
    problems = texts(found(dags), "FAIL", "feeds")
    assert "returns.yaml: columns: Field required" in problems
    assert len(problems) > 1
    (nothing,) = texts(found(dags / "elsewhere"), "FAIL", "feeds")
    assert "there is no feed file in" in nothing


@pytest.mark.parametrize(
    ("variables", "level", "words"),
    [
        ({"INGESTION_BUKET": "x"}, "warn", "INGESTION_BUKET is no setting"),
        ({"INGESTION_GIT_REF": "branch:main"}, "warn", "stage and merge of one batch may run different code"),
        ({"INGESTION_COMPUTE": '{"new_cluster": {"num_workers": 1}}'}, "warn", "names no policy_id"),
        ({"INGESTION_COMPUTE": '{"new_cluster": {"policy_id": "p"}}'}, "ok", "compute new_cluster"),
        ({"INGESTION_POLL_SECONDS": "soon"}, "FAIL", "INGESTION_POLL_SECONDS: Input should be a valid number"),
        ({"INGESTION_RUN_OPTIONS": '{"tags": {}}'}, "FAIL", "INGESTION_RUN_OPTIONS.tags: Extra inputs"),
    ],
)
def test_a_variable_is_judged(dags: Path, variables: dict[str, str], level: str, words: str) -> None:
    findings = found(dags, **variables)
    assert [words in text for text in texts(findings, level, "settings")] == [True]
    assert {finding.level for finding in findings} - {level} <= {"ok"}


def test_two_wrong_variables_are_two_lines(dags: Path) -> None:
    wrong = {"INGESTION_POLL_SECONDS": "soon", "INGESTION_RETRY_SECONDS": "0"}
    assert len(texts(found(dags, **wrong), "FAIL", "settings")) == 2


def test_a_setting_of_one_feed_is_judged_too(dags: Path) -> None:
    with (dags / "feeds/user_activity.yaml").open("a") as file:
        file.write("settings: {git_url: 'https://github.com/example/other', git_ref: 'branch:try'}\n")
    (warning,) = texts(found(dags), "warn", "settings")
    assert "branch:try" in warning
