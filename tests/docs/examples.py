"""The examples of docs/feeds.md and docs/exports.md: settings of a feed, what is delivered, and what comes of it."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

# What an example does not say is as here; the page shows the same to its readers.
BASE = yaml.safe_load(r"""
description: Parcels.
pattern: parcels_.*\.csv
columns: [{name: id}, {name: at, type: timestamp}]
key: [id]
order_by: at
""")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"([^|]+/[^|]+) -> (\S.*)")


class ExampleError(ValueError):
    """Blocks of a page that are no example. The message says where they are."""


@dataclass(frozen=True)
class Example:
    """A ```yaml block, a ```csv block, which may both be absent, and the ```text block that ends it."""

    place: str
    settings: dict[str, object]
    content: str | None
    expected: list[str]

    @property
    def names(self) -> list[tuple[str, str]]:
        """The names of delivered files, each with the day it is said to have."""
        return [(match[1], match[2]) for match in map(_NAME.fullmatch, self.expected) if match]

    @property
    def rows(self) -> list[str]:
        """What is said to come of the content."""
        return [line for line in self.expected if not _NAME.fullmatch(line)]

    @property
    def yaml(self) -> str:
        """The feed's YAML."""
        return yaml.safe_dump(BASE | self.settings, allow_unicode=True)


def read_examples(page: Path) -> list[Example]:
    """All examples of a page, in order. Raises ExampleError for blocks that are not part of one."""
    text = page.read_text(encoding="utf-8")
    examples: list[Example] = []
    blocks: dict[str, str] = {}
    for fence in _FENCE.finditer(text):
        language, block = fence[1], fence[2]
        place = f"{page.name}:{text.count(chr(10), 0, fence.start()) + 1}"
        if language not in ("yaml", "csv", "text") or language in blocks:
            raise ExampleError(f"{place}: a {language} block where an example has none")
        blocks[language] = block
        if language == "text":
            settings = yaml.safe_load(blocks.get("yaml", "{}"))
            examples.append(Example(place, settings, blocks.get("csv"), block.splitlines()))
            blocks = {}
    if blocks:
        raise ExampleError(f"{page.name}: its last example has no text block, which says what comes of it")
    return examples
