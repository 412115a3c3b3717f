"""The checks that ask nobody: the settings, and the feeds' YAML files."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ingestion.pipeline.environments import FEEDS, Environment, read_environment
from ingestion.pipeline.feed_check import judge
from ingestion.pipeline.feed_files import feed_files
from ingestion.pipeline.findings import Check, Finding, fail, ok, warn
from ingestion.pipeline.settings import Settings, unknown_variables


def check_configuration(folder: Path, variables: Mapping[str, str]) -> Check[Environment]:
    """Whether the settings and feeds of a folder of DAG files are right; returns those that can be used."""
    for name in unknown_variables(variables):
        yield warn("settings", f"{name} is no setting, so it changes nothing: mend its name, or unset it")
    files = feed_files(folder / FEEDS) if (folder / FEEDS).is_dir() else []
    environment = read_environment(folder, variables, files)
    _, problems = judge(environment)
    if environment.settings is None:
        for problem in problems:
            yield fail("settings", f"{problem} (docs/contract.md has all of them)")
        return environment
    of_feeds = [item.settings for item in environment.feeds]
    yield from dict.fromkeys(warning for each in (environment.settings, *of_feeds) for warning in _warnings(each))
    yield ok("settings", _summary(environment.settings))
    for problem in problems:
        yield fail("feeds", problem)
    if not files:
        yield fail("feeds", f"there is no feed file in {folder / FEEDS}: put dags/ into Airflow's DAGs folder")
    elif not problems:
        yield ok("feeds", f"{', '.join(item.feed.name for item in environment.feeds)} are right")
    return environment


def _summary(settings: Settings) -> str:
    compute = next(iter(settings.compute))
    scripts = settings.jobs or f"{settings.git_url} at {settings.git_ref}"
    return f"schema {settings.schema_name}, compute {compute}, scripts from {scripts}"


def _warnings(settings: Settings) -> Iterator[Finding]:
    if settings.git_ref and settings.git_ref.startswith("branch:"):
        yield warn(
            "settings",
            f"INGESTION_GIT_REF is {settings.git_ref}: when it moves, stage and merge of one batch may run different "
            "code. In production, set it to `tag:...` or `commit:...`",
        )
    cluster = settings.compute.get("new_cluster")
    if isinstance(cluster, dict) and "policy_id" not in cluster:
        yield warn(
            "settings",
            "the new_cluster of INGESTION_COMPUTE names no policy_id, so its principal needs the right to make any "
            "cluster: give it Can Use on a cluster policy instead, and name that",
        )
