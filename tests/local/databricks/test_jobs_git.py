"""Scripts from a Git repository: which commit is run, and what is told when it cannot be had."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO
from tests.local.databricks.harness import Service, payload

SCRIPT = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path(sys._getframe().f_code.co_filename).parent))
from helper_of_the_test import VERSION

print(VERSION)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with version 1 tagged and, on main, a later version 2."""
    folder = tmp_path / "repository"
    (folder / "jobs").mkdir(parents=True)
    git(folder, "init", "--initial-branch=main")
    (folder / "jobs" / "step.py").write_text(SCRIPT)
    for version in (1, 2):
        (folder / "jobs" / "helper_of_the_test.py").write_text(f"VERSION = {version}\n")
        git(folder, "add", ".")
        git(folder, "commit", f"--message={version}")
        if version == 1:
            git(folder, "tag", "v1")
    return folder


def git(folder: Path, *arguments: str) -> str:
    author = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    command = ["git", *author, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def run(service: Service, url: str, file: str = "jobs/step.py", **ref: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a file of the repository; returns the run and its output."""
    body = payload(file, git_source={"git_url": url, "git_provider": "gitHub"} | ref)
    body["tasks"][0]["spark_python_task"]["source"] = "GIT"
    run_id = service.submit(body)
    service.finished(run_id)
    return service.get(run_id), service.output(run_id)


@pytest.mark.parametrize(
    ("kind", "ref", "version"),
    [("git_tag", "v1", "1"), ("git_branch", "main", "2"), ("git_commit", "v1", "1")],
)
def test_the_scripts_are_those_of_the_commit(
    service: Service, repository: Path, kind: str, ref: str, version: str
) -> None:
    commit = git(repository, "rev-parse", ref)
    found, output = run(service, repository.as_uri(), **{kind: commit if kind == "git_commit" else ref})
    assert output["logs"] == f"{version}\n", output
    assert found["git_source"]["git_snapshot"]["used_commit"] == commit


def test_nothing_of_the_checkout_is_left(service: Service, repository: Path) -> None:
    run(service, repository.as_uri(), git_tag="v1")
    assert list((service.folder / "home" / "scratch").rglob("step.py")) == []


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ({"git_tag": "v9"}, "couldn't find remote ref refs/tags/v9"),
        ({"git_tag": "main"}, "couldn't find remote ref refs/tags/main"),
        ({"git_commit": "0" * 40}, "not our ref 0000"),
    ],
)
def test_a_commit_that_is_not_there_is_named(
    service: Service, repository: Path, ref: dict[str, str], told: str
) -> None:
    found, output = run(service, repository.as_uri(), **ref)
    assert found["state"]["life_cycle_state"] == "INTERNAL_ERROR"
    assert found["status"]["termination_details"]["code"] == "REPOSITORY_CHECKOUT_FAILED"
    assert f"Failed to checkout Git repository {repository.as_uri()}" in output["error"]
    assert told in output["error"]


def test_a_repository_that_is_not_there_is_named(service: Service, tmp_path: Path) -> None:
    _, output = run(service, (tmp_path / "none").as_uri(), git_branch="main")
    assert "does not appear to be a git repository" in output["error"]


def test_a_file_that_is_not_in_the_repository_is_named(service: Service, repository: Path) -> None:
    found, output = run(service, repository.as_uri(), file="jobs/other.py", git_tag="v1")
    assert found["state"]["life_cycle_state"] == "INTERNAL_ERROR"
    assert "Cannot read the python file jobs/other.py" in output["error"]


def test_the_projects_own_jobs_run_from_a_repository(service: Service, tmp_path: Path) -> None:
    repository = tmp_path / "own"
    shutil.copytree(REPO / "spark_jobs", repository / "spark_jobs")
    git(repository, "init", "--initial-branch=main")
    git(repository, "add", ".")
    git(repository, "commit", "--message=all")
    body = payload(
        "spark_jobs/stage.py",
        "--manifest",
        str(tmp_path / "none.json"),
        git_source={"git_url": repository.as_uri(), "git_provider": "gitHub", "git_branch": "main"},
    )
    body["tasks"][0]["spark_python_task"]["source"] = "GIT"
    run_id = service.submit(body)
    service.finished(run_id)
    # The job itself says so: it was found, with the package beside it.
    assert f"manifest {tmp_path / 'none.json'} does not exist" in service.output(run_id)["error"]
