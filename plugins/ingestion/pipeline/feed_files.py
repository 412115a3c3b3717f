"""The YAML files of feeds: where they are, and what is wrong with one that cannot be used."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ingestion.pipeline.feeds import NOT_IN_YAML, Feed
from ingestion.pipeline.settings import Given, SettingsError, given_in_yaml
from ingestion.pipeline.yaml_files import YamlError, read_mapping

ENDINGS = (".yaml", ".yml")
# The section of a feed's YAML that is about its surroundings: not of the definition that a manifest freezes.
SETTINGS = "settings"


class FeedError(ValueError):
    """A feed file that cannot be used. A line for each problem names the file, the field and what is wrong with it."""


@dataclass(frozen=True)
class FeedFile:
    """What a feed's YAML says: the definition of the feed, and the settings that it has of its own."""

    path: Path
    feed: Feed
    settings: Given


def feed_files(folder: Path) -> list[Path]:
    """The feed files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in ENDINGS)


def read_feed_files(paths: Iterable[Path]) -> tuple[list[FeedFile], list[str]]:
    """The files that can be used, and every problem of the others, which names its file."""
    files: list[FeedFile] = []
    problems: list[str] = []
    for path in paths:
        try:
            files.append(read_feed_file(path))
        except FeedError as error:
            problems += str(error).splitlines()
    return files, problems


def load_feed(path: Path) -> Feed:
    """The feed that a YAML file defines. Raises FeedError."""
    return read_feed_file(path).feed


def read_feed_file(path: Path) -> FeedFile:
    """Read a feed's YAML; the feed is named after the file. Raises FeedError."""
    if path.suffix not in ENDINGS:
        raise FeedError(f"{path.name}: the name of a feed's file ends in {' or '.join(ENDINGS)}")
    other = path.with_suffix(".yaml" if path.suffix == ".yml" else ".yml")
    if other.exists():
        raise FeedError(f"{path.name}: there is {other.name} too, and both are feed {path.stem}: remove one")
    try:
        content = read_mapping(path)
        settings = given_in_yaml(content.pop(SETTINGS, {}), f"{path.name}: {SETTINGS}.", of_one_feed=True)
    except (YamlError, SettingsError) as error:
        raise FeedError(str(error)) from error
    if given := [name for name in NOT_IN_YAML if name in content]:
        raise FeedError(f"{path.name}: {', '.join(given)}: no setting of a feed, which is named after its file")
    try:
        feed = Feed.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        raise FeedError("\n".join(f"{path.name}: {_problem(item)}" for item in error.errors())) from error
    return FeedFile(path, feed, settings)


def _problem(item: ErrorDetails) -> str:
    field = ".".join(str(part) for part in item["loc"]) or "feed"
    return f"{field}: {item['msg'].removeprefix('Value error, ')}"
