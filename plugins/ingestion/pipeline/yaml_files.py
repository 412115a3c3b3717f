"""YAML files that people write: read strictly, with an error of one line that names the file."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

# Written in C, where PyYAML was built with it: a task reads every feed before it can begin.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(ValueError):
    """A file that is no mapping in YAML. The message names it."""


class _Loader(_SafeLoader):
    """YAML as it is meant: of two equal settings PyYAML would take the later one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        if doubled := sorted({str(name) for name in names if names.count(name) > 1}):
            raise yaml.constructor.ConstructorError(
                "while reading a mapping", node.start_mark, f"{', '.join(doubled)} stands in it twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def read_mapping(path: Path) -> dict[str, Any]:
    """The content of a YAML file that is one mapping. Raises YamlError."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # PyYAML says on several lines where it was.
        raise YamlError(f"{path.name}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise YamlError(f"{path.name}: expected a mapping of settings, found {type(content).__name__}")
    return {str(name): value for name, value in content.items()}
