"""What is sent to `runs/submit` for each compute and source of scripts, by hand from the API's reference."""

import json

import pytest
from databricks.sdk.service import jobs
from databricks.sdk.service.compute import ClusterSpec

from ingestion.pipeline.payload import submit_payload
from ingestion.pipeline.settings import load_settings
from local.databricks.models import SubmitRun
from local.databricks.validation import mistakes
from tests.conftest import REPO

JOBS = {"INGESTION_JOBS": "/Workspace/Shared/ingestion/spark_jobs/", "INGESTION_RUN_TIMEOUT_SECONDS": "600"}
GIT = {"INGESTION_GIT_URL": "https://github.com/example/pipeline", "INGESTION_GIT_REF": "tag:v1.2"}
PARAMETERS = ["--manifest", "gs://b/m.json"]
FAST = "PERFORMANCE_OPTIMIZED"


def test_serverless_from_a_workspace_folder() -> None:
    assert submit_payload("stage", PARAMETERS, load_settings(JOBS), FAST) == {
        "tasks": [
            {
                "task_key": "stage",
                "spark_python_task": {
                    "python_file": "/Workspace/Shared/ingestion/spark_jobs/stage.py",
                    "parameters": PARAMETERS,
                    "source": "WORKSPACE",
                },
                "max_retries": 0,
                "timeout_seconds": 600,
                "environment_key": "default",
                "disable_auto_optimization": True,
            }
        ],
        "timeout_seconds": 600,
        "queue": {"enabled": True},
        "environments": [{"environment_key": "default", "spec": {"environment_version": "5"}}],
        "performance_target": "PERFORMANCE_OPTIMIZED",
    }


def test_a_new_cluster_from_git() -> None:
    cluster = '{"new_cluster": {"spark_version": "17.3.x-scala2.13", "num_workers": 1}}'
    payload = submit_payload("merge", PARAMETERS, load_settings(GIT | {"INGESTION_COMPUTE": cluster}), FAST)
    assert payload["git_source"] == {
        "git_url": "https://github.com/example/pipeline",
        "git_provider": "gitHub",
        "git_tag": "v1.2",
    }
    assert payload.keys() & {"environments", "performance_target"} == set(), "they are of serverless compute"
    (task,) = payload["tasks"]
    assert task["spark_python_task"]["python_file"] == "spark_jobs/merge.py"
    assert task["spark_python_task"]["source"] == "GIT"
    assert task["new_cluster"] == {"spark_version": "17.3.x-scala2.13", "num_workers": 1}
    assert "environment_key" not in task


def test_an_existing_cluster_and_a_branch() -> None:
    settings = load_settings(
        GIT | {"INGESTION_COMPUTE": '{"existing_cluster_id": "0923-1"}', "INGESTION_GIT_REF": "branch:main"}
    )
    payload = submit_payload("stage", PARAMETERS, settings, FAST)
    assert payload["tasks"][0]["existing_cluster_id"] == "0923-1"
    assert payload["git_source"]["git_branch"] == "main"


def test_the_new_cluster_of_the_guide_is_one_that_databricks_would_make() -> None:
    """By the models that the local service holds requests against, which are those of databricks-sdk and -bundles."""
    text = (REPO / "docs" / "production.md").read_text().split("```json\n")[1].split("```")[0]
    settings = load_settings(GIT | {"INGESTION_COMPUTE": text})
    payload = submit_payload("stage", PARAMETERS, settings, FAST)
    assert mistakes(SubmitRun.model_validate(payload)) == []
    cluster = payload["tasks"][0]["new_cluster"]
    assert ClusterSpec.from_dict(cluster).as_dict() == cluster


@pytest.mark.parametrize(
    ("url", "provider", "expected"),
    [
        ("https://github.com/example/pipeline", None, "gitHub"),
        ("https://gitlab.com/example/pipeline", None, "gitLab"),
        ("https://dev.azure.com/example/team/_git/pipeline", None, "azureDevOpsServices"),
        ("https://bitbucket.org/example/pipeline", None, "bitbucketCloud"),
        ("https://git.example.com/pipeline", "gitHubEnterprise", "gitHubEnterprise"),
    ],
)
def test_the_git_provider_is_that_of_the_host_or_the_setting(url: str, provider: str | None, expected: str) -> None:
    given = GIT | {"INGESTION_GIT_URL": url} | ({"INGESTION_GIT_PROVIDER": provider} if provider else {})
    payload = submit_payload("stage", PARAMETERS, load_settings(given), FAST)
    assert payload["git_source"]["git_provider"] == expected


def test_options_of_runs_are_fields_of_the_request_and_databricks_would_take_them() -> None:
    """By the models that the local service holds requests against, which are those of databricks-sdk and -bundles."""
    options = {
        "access_control_list": [{"group_name": "data-team", "permission_level": "CAN_MANAGE_RUN"}],
        "budget_policy_id": "4f1c",
        "performance_target": "STANDARD",
    }
    settings = load_settings(GIT | {"INGESTION_RUN_OPTIONS": json.dumps(options)})
    payload = submit_payload("stage", PARAMETERS, settings, FAST)
    assert payload | options == payload
    assert mistakes(SubmitRun.model_validate(payload)) == []
    (access,) = payload["access_control_list"]
    assert jobs.JobAccessControlRequest.from_dict(access).as_dict() == access
