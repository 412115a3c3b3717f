"""The YAML files of feeds: where they are, and what is wrong with one that cannot be used."""

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ingestion.pipeline.feeds import NOT_IN_YAML, Feed

ENDINGS = (".yaml", ".yml")
# Written in C, where PyYAML was built with it: a task reads every feed before it can begin.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class FeedError(ValueError):
    """A feed file that cannot be used. A line for each problem names the file, the field and what is wrong with it."""


class _Loader(_SafeLoader):
    """YAML as it is meant: of two equal settings PyYAML would take the later one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        if doubled := sorted({str(name) for name in names if names.count(name) > 1}):
            raise yaml.constructor.ConstructorError(
                "while reading a mapping", node.start_mark, f"{', '.join(doubled)} stands in it twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def feed_files(folder: Path) -> list[Path]:
    """The feed files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in ENDINGS)


def load_feeds(paths: Iterable[Path]) -> tuple[dict[Path, Feed], list[str]]:
    """The feeds of the files that can be used, and every problem of the others, which names its file."""
    feeds: dict[Path, Feed] = {}
    problems: list[str] = []
    for path in paths:
        try:
            feeds[path] = load_feed(path)
        except FeedError as error:
            problems += str(error).splitlines()
    return feeds, problems


def load_feed(path: Path) -> Feed:
    """Read a feed's YAML; the feed is named after the file. Raises FeedError."""
    if path.suffix not in ENDINGS:
        raise FeedError(f"{path.name}: the name of a feed's file ends in {' or '.join(ENDINGS)}")
    other = path.with_suffix(".yaml" if path.suffix == ".yml" else ".yml")
    if other.exists():
        raise FeedError(f"{path.name}: there is {other.name} too, and both are feed {path.stem}: remove one")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # PyYAML says on several lines where it was.
        raise FeedError(f"{path.name}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise FeedError(f"{path.name}: expected a mapping of settings, found {type(content).__name__}")
    if given := [name for name in NOT_IN_YAML if name in content]:
        raise FeedError(f"{path.name}: {', '.join(given)}: no setting of a feed, which is named after its file")
    try:
        return Feed.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        raise FeedError("\n".join(f"{path.name}: {_problem(item)}" for item in error.errors())) from error


def _problem(item: ErrorDetails) -> str:
    field = ".".join(str(part) for part in item["loc"]) or "feed"
    return f"{field}: {item['msg'].removeprefix('Value error, ')}"
