"""An environment: a folder of DAG files, with feeds in `feeds/` and perhaps settings of its own in `settings.yaml`.

What is nearer to a feed wins: the section `settings` of its own YAML, then `settings.yaml`, then the `INGESTION_*`
variables, then the defaults. Folders in one Airflow share its variables, so that the file is what tells them apart.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from ingestion.pipeline.feed_files import ENDINGS, FeedFile, feed_files, read_feed_file, read_feed_files
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.settings import (
    SCRIPTS,
    Given,
    Settings,
    SettingsError,
    given_by_variables,
    given_in_yaml,
    settings_of,
)
from ingestion.pipeline.yaml_files import YamlError, read_mapping

log = logging.getLogger(__name__)
FEEDS = "feeds"
SETTINGS_FILE = "settings.yaml"
# What a run that waits for files must hear of when it changes: the tasks after it read the other settings anew.
WAITS_WITH = ("bucket", "google_connection", "poll_seconds")
# By what Databricks runs of feeds differ.
OF_RUNS = {"databricks_connection", "compute", "run_options", *SCRIPTS}


@dataclass(frozen=True)
class ConfiguredFeed:
    """A feed, beside the others of its bucket, the file that defines it, and its settings.

    `waits_with`: what the two YAML files, and not the variables, say of WAITS_WITH.
    `told_as`: a feed whose settings name the same people to tell, None where they are those of the environment.
    """

    file: Path
    feed: Feed
    settings: Settings
    waits_with: dict[str, Any]
    told_as: str | None = None

    @property
    def dag_id(self) -> str:
        """The id of its DAG."""
        return self.settings.dag_id(self.feed.name)


@dataclass(frozen=True)
class Environment:
    """The feeds that can be used, and every problem of the others, which names its file.

    `settings` are those of no feed in particular. None when they are wrong, and then there is no feed either.
    """

    settings: Settings | None
    feeds: list[ConfiguredFeed] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_environment(folder: Path, variables: Mapping[str, str], files: Iterable[Path] | None = None) -> Environment:
    """The environment of a folder of DAG files, with all of its feeds or those of these files."""
    try:
        of_folder = given_by_folder(folder)
        outer = (given_by_variables(variables), of_folder)
        settings = settings_of(*outer)
    except SettingsError as error:
        log.error("No feed of %s can be used: %s", folder, error)  # a task whose DAG is not to be found says no reason
        return Environment(None, problems=str(error).splitlines())
    read, problems = read_feed_files(feed_files(folder / FEEDS) if files is None else files)
    feeds: list[ConfiguredFeed] = []
    for file in read:
        try:
            its_own = settings_of(*outer, file.settings) if file.settings.values else settings
            feeds.append(ConfiguredFeed(file.path, file.feed, its_own, _waits_with(of_folder, file)))
        except SettingsError as error:
            problems += str(error).splitlines()
    return Environment(settings, [_beside(feed, feeds, settings) for feed in feeds], problems)


def _beside(configured: ConfiguredFeed, feeds: list[ConfiguredFeed], settings: Settings) -> ConfiguredFeed:
    bucket = configured.settings.bucket
    others = [other.feed for other in feeds if other.settings.bucket == bucket]
    alike = next(other.feed.name for other in feeds if other.settings.tells_as(configured.settings))
    told_as = None if configured.settings.tells_as(settings) else alike
    return replace(configured, feed=configured.feed.beside(others), told_as=told_as)


def by_bucket(feeds: Iterable[ConfiguredFeed]) -> dict[str, list[ConfiguredFeed]]:
    """The feeds of each bucket."""
    bucket = attrgetter("settings.bucket")
    return {name: list(group) for name, group in groupby(sorted(feeds, key=bucket), key=bucket)}


def by_runs(feeds: Iterable[ConfiguredFeed]) -> list[list[ConfiguredFeed]]:
    """Feeds whose Databricks runs go to the same place, by the same scripts, on the same compute."""
    alike: dict[str, list[ConfiguredFeed]] = {}
    for item in feeds:
        alike.setdefault(item.settings.model_dump_json(include=OF_RUNS), []).append(item)
    return list(alike.values())


def read_again(path: Path) -> tuple[Feed, dict[str, Any]]:
    """The feed that a file defines now, and its `ConfiguredFeed.waits_with`. Raises FeedError or SettingsError."""
    file = read_feed_file(path)
    return file.feed, _waits_with(given_by_folder(path.parent.parent), file)


def _waits_with(of_folder: Given, file: FeedFile) -> dict[str, Any]:
    given = {**of_folder.values, **file.settings.values}
    return {name: given[name] for name in WAITS_WITH if name in given}


def settings_for(folder: Path, variables: Mapping[str, str], feed: str | None) -> Settings:
    """The settings of a feed of a folder of DAG files, or without one of that name those of no feed in particular.

    Raises SettingsError or FeedError.
    """
    outer = (given_by_variables(variables), given_by_folder(folder))
    files = [folder / FEEDS / f"{feed}{ending}" for ending in ENDINGS] if feed else []
    return settings_of(*outer, *(read_feed_file(path).settings for path in files if path.is_file()))


def given_by_folder(folder: Path) -> Given:
    """What `settings.yaml` of a folder of DAG files gives; nothing if there is none. Raises SettingsError."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return Given({})
    try:
        return given_in_yaml(read_mapping(path), f"{SETTINGS_FILE}: ")
    except YamlError as error:
        raise SettingsError(str(error)) from error
