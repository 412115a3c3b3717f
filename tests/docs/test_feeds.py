"""The examples of docs/feeds.md and docs/exports.md are what the pipeline does, and no setting lacks one."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pyspark.sql import SparkSession

from ingestion.pipeline import headers, intake
from ingestion.pipeline.columns import SIMPLE_TYPES, Column
from ingestion.pipeline.csv_text import Csv
from ingestion.pipeline.datetime_formats import EPOCH_FORMATS
from ingestion.pipeline.feeds import Feed, Limits
from ingestion.pipeline.settings import FeedSettings
from ingestion_jobs import rows
from tests.conftest import REPO
from tests.docs.examples import Example, ExampleError, read_examples
from tests.docs.running import day_of, feed_of, rows_of

REFERENCE = REPO / "docs" / "feeds.md"
PAGES = [REFERENCE, REPO / "docs" / "exports.md"]
EXAMPLES = [example for page in PAGES for example in read_examples(page)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.place)
def test_an_example_is_what_the_pipeline_does(spark: SparkSession, example: Example, tmp_path: Path) -> None:
    feed = feed_of(example, tmp_path)
    assert [(name, day_of(feed, name)) for name, _ in example.names] == example.names
    if example.content is not None:
        assert rows_of(spark, example, feed, tmp_path) == example.rows


def settings_in(examples: list[Example]) -> dict[type[BaseModel], set[str]]:
    """The settings that examples give, by what they belong to."""
    found: dict[type[BaseModel], set[str]] = {Feed: set(), Column: set(), Csv: set(), Limits: set()}
    for settings in (example.settings for example in examples):
        found[Feed] |= set(settings)
        for part, model in (("csv", Csv), ("limits", Limits)):
            found[model] |= set(settings.get(part, {}))
        for column in settings.get("columns", []):
            found[Column] |= set(column)
    return found


@pytest.mark.parametrize("model", [Feed, Column, Csv, Limits])
def test_each_setting_is_shown(model: type[BaseModel]) -> None:
    shown = settings_in(read_examples(REFERENCE))[model]
    # The name of a feed is that of its file, and the others are those beside it.
    assert set(model.model_fields) - shown - ({"name", "others"} if model is Feed else set()) == set()


def test_each_setting_of_an_environment_that_a_feed_may_have_is_told() -> None:
    _, _, section = REFERENCE.read_text(encoding="utf-8").partition("\n## settings\n")
    table = section.partition("\n## ")[0]
    names = {field.alias or name for name, field in FeedSettings.model_fields.items()}
    assert {name for name in names if f"`{name}`" not in table} == set()


def test_each_type_and_each_way_to_be_refused_is_told() -> None:
    page = REFERENCE.read_text(encoding="utf-8")
    sources = "".join(Path(module.__file__ or "").read_text(encoding="utf-8") for module in (headers, intake))
    codes = re.findall(r'(?:_UnfitError|Rejection)\(\s*"(\w+)"', sources)
    assert len(codes) > 10
    assert [word for word in (*SIMPLE_TYPES, "decimal", *EPOCH_FORMATS, *codes) if f"`{word}" not in page] == []


def test_each_reason_to_quarantine_a_row_is_told() -> None:
    page = REFERENCE.read_text(encoding="utf-8")
    source = Path(rows.__file__).read_text(encoding="utf-8")
    reasons = re.findall(r'"((?:record: |missing|not |an? |in the )[^"{%]*)', source)
    assert len(reasons) == 10
    assert [reason for reason in reasons if reason not in page] == []


@pytest.mark.parametrize("page", ["```yaml\nkey: [id]\n```\n", "```sql\nSELECT 1\n```\n", "```csv\n```\n```csv\n```\n"])
def test_a_block_that_is_of_no_example_is_named(tmp_path: Path, page: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(page)
    with pytest.raises(ExampleError, match=r"page\.md"):
        read_examples(path)
