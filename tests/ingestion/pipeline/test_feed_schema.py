"""The schema by which editors check a feed's YAML."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.pipeline.feed_files import feed_files
from ingestion.pipeline.feed_schema import feed_schema
from tests.conftest import REPO

FEEDS = REPO / "dags/feeds"
MINIMAL: dict[str, Any] = {
    "description": "a test",
    "pattern": "x",
    "columns": [{"name": "id"}, {"name": "at", "type": "date"}],
    "key": ["id"],
    "order_by": "at",
}


def wrong_places(content: object) -> list[str]:
    """Where an editor would underline the content."""
    jsonschema = pytest.importorskip("jsonschema", reason="is no dependency, but comes with Airflow")
    validator = jsonschema.Draft202012Validator(json.loads((FEEDS / "feed.schema.json").read_text()))
    return [".".join(map(str, error.absolute_path)) or "feed" for error in validator.iter_errors(content)]


def test_the_committed_schema_is_that_of_the_model() -> None:
    assert (FEEDS / "feed.schema.json").read_text() == feed_schema(), "run `make schema`"


@pytest.mark.parametrize("path", feed_files(FEEDS), ids=lambda path: path.name)
def test_shipped_feeds_name_the_schema_and_fit_it(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=feed.schema.json\n")
    assert wrong_places(yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({}, []),
        ({"columns": [{"name": "id", "type": "decimal(10, 2)"}]}, []),
        ({"keys": ["id"]}, ["feed"]),
        ({"name": "x"}, ["feed"]),
        ({"columns": [{"name": "id", "type": "text"}]}, ["columns.0.type"]),
        ({"columns": [{"nmae": "id", "name": "id"}]}, ["columns.0"]),
        ({"bad_row_share": 2}, ["bad_row_share"]),
        ({"csv": {"delimiter": "||"}}, ["csv.delimiter"]),
    ],
)
def test_a_mistake_is_found_where_it_is(change: dict[str, Any], where: list[str]) -> None:
    assert wrong_places(MINIMAL | change) == where
