"""What is sent to `runs/submit` for each compute and source of scripts, by hand from the API's reference."""

from ingestion.pipeline.payload import submit_payload
from ingestion.pipeline.settings import load_settings

JOBS = {"INGESTION_JOBS": "/Workspace/Shared/ingestion/spark_jobs/", "INGESTION_RUN_TIMEOUT_SECONDS": "600"}
GIT = {"INGESTION_GIT_URL": "https://github.com/example/pipeline", "INGESTION_GIT_REF": "tag:v1.2"}
PARAMETERS = ["--manifest", "gs://b/m.json"]


def test_serverless_from_a_workspace_folder() -> None:
    assert submit_payload("stage", PARAMETERS, load_settings(JOBS)) == {
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
    }


def test_a_new_cluster_from_git() -> None:
    cluster = '{"new_cluster": {"spark_version": "17.3.x-scala2.13", "num_workers": 1}}'
    payload = submit_payload("merge", PARAMETERS, load_settings(GIT | {"INGESTION_COMPUTE": cluster}))
    assert payload["git_source"] == {
        "git_url": "https://github.com/example/pipeline",
        "git_provider": "gitHub",
        "git_tag": "v1.2",
    }
    assert "environments" not in payload
    (task,) = payload["tasks"]
    assert task["spark_python_task"]["python_file"] == "spark_jobs/merge.py"
    assert task["spark_python_task"]["source"] == "GIT"
    assert task["new_cluster"] == {"spark_version": "17.3.x-scala2.13", "num_workers": 1}
    assert "environment_key" not in task


def test_an_existing_cluster_and_a_branch() -> None:
    settings = load_settings(
        GIT | {"INGESTION_COMPUTE": '{"existing_cluster_id": "0923-1"}', "INGESTION_GIT_REF": "branch:main"}
    )
    payload = submit_payload("stage", PARAMETERS, settings)
    assert payload["tasks"][0]["existing_cluster_id"] == "0923-1"
    assert payload["git_source"]["git_branch"] == "main"
