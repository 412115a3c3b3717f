"""The bundle's files as the Databricks CLI understands them, as far as they use it: includes, variables, references."""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.conftest import REPO

REFERENCE = re.compile(r"\$\{([A-Za-z0-9_.]+)\}")
MERGED = ("resources", "definitions")


def read_bundle() -> dict[str, Any]:
    """databricks.yml with all that it includes; the references are still in it."""
    bundle = yaml.safe_load((REPO / "databricks.yml").read_text())
    for pattern in bundle["include"]:
        for path in sorted(REPO.glob(pattern)):
            included = yaml.safe_load(path.read_text())
            assert set(included) <= set(MERGED), f"{path.name}: {set(included)}"
            for kind, named in included.get("resources", {}).items():
                known = bundle.setdefault("resources", {}).setdefault(kind, {})
                assert not known.keys() & named.keys(), f"{path.name}: {kind} defined twice"
                known |= named
    return bundle


def resources(given: Mapping[str, Any], file_path: str) -> dict[str, dict[str, dict[str, Any]]]:
    """The resources by kind and name with these variables, deployed to the workspace folder `file_path`.

    What is known only after the deployment, as the id of a job, stays a reference. A variable that has no value is a
    KeyError.
    """
    bundle = read_bundle()
    variables = {name: variable.get("default") for name, variable in bundle["variables"].items()} | dict(given)
    known = {f"var.{name}": value for name, value in variables.items() if value is not None}
    known |= {"workspace.file_path": file_path, "bundle.target": "test", "bundle.name": bundle["bundle"]["name"]}
    known |= {
        f"resources.{kind}.{name}.{key}": value
        for kind, named in bundle["resources"].items()
        for name, fields in named.items()
        for key, value in fields.items()
        if isinstance(value, str) and key != "id"
    }
    return _filled(bundle["resources"], known)


def deployed(job: dict[str, Any], file_path: str, wheel: str, ids: Mapping[str, int]) -> dict[str, Any]:
    """A job as `databricks bundle deploy` sends it of a target in development, which pauses what would start runs.

    Relative paths become those in the workspace, the wheel's pattern the file that was built, and references to jobs
    their ids.
    """
    sent = json.loads(json.dumps(job))
    for name in ("trigger", "schedule"):
        if name in sent:
            sent[name]["pause_status"] = "PAUSED"
    for environment in sent.get("environments", []):
        if environment["spec"].get("dependencies"):
            environment["spec"]["dependencies"] = [wheel]
    for task in sent["tasks"]:
        if script := task.get("spark_python_task"):
            script["python_file"] = script["python_file"].replace("../", f"{file_path}/", 1)
        if other := task.get("run_job_task"):
            other["job_id"] = ids[other["job_id"].removeprefix("${resources.jobs.").removesuffix(".id}")]
    return sent


def _filled(value: Any, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 - YAML
    if isinstance(value, dict):
        return {key: _filled(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    if not isinstance(value, str):
        return value
    if whole := REFERENCE.fullmatch(value):
        return value if _later(whole[1]) else _filled(known[whole[1]], known)
    return REFERENCE.sub(lambda found: found[0] if _later(found[1]) else str(_filled(known[found[1]], known)), value)


def _later(name: str) -> bool:
    return name.startswith("resources.") and name.endswith(".id")
