"""The pipeline relies on nothing that the stand-in does not honour, or its tests here would show nothing."""

import ast
import re
from pathlib import Path

import pytest
from google.cloud.storage import Bucket

from ingestion.pipeline import storage
from local.stack.home import REPO
from tests.local.bucket.test_objects import found, names, put

# As keyword arguments and as parameters of the JSON API. Preconditions may be sent: see the tests below.
NOT_HONOURED = {
    "match_glob", "matchGlob", "versions", "soft_deleted", "fields", "move_blob",
    "if_metageneration_match", "if_source_generation_match", "ifMetagenerationMatch", "ifSourceGenerationMatch",
}  # fmt: skip
# Those that know of buckets: elsewhere the words are about other things.
SOURCES = [
    path
    for folder in ("plugins", "dags", "spark_jobs")
    for path in sorted((REPO / folder).rglob("*.py"))
    if re.search(r"google\.cloud|gcloud|import .*storage", path.read_text())
]


def words(path: Path) -> set[str]:
    """Keyword arguments, attributes and whole string constants of a module."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    keywords = {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return (
        keywords
        | attributes
        | {node.value for node in nodes if isinstance(node, ast.Constant) and node.value in NOT_HONOURED}
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPO)))
def test_nothing_that_only_gcs_honours_is_asked_for(path: Path) -> None:
    assert words(path) & NOT_HONOURED == set()


def test_a_delete_whose_precondition_is_ignored_spares_the_newer_object(bucket: Bucket) -> None:
    old = put(bucket, "source/a.csv", "old").generation
    put(bucket, "source/a.csv", "new")
    assert storage.delete_generation(bucket, "source/a.csv", int(old)) is False
    assert found(bucket, "source/a.csv").download_as_bytes() == b"new"


def test_a_copy_whose_precondition_is_ignored_overwrites_nothing(bucket: Bucket) -> None:
    put(bucket, "source/a.csv", "new")
    put(bucket, "archive/a.csv", "other")
    source = storage.find(bucket, "source/a.csv")
    assert source is not None
    with pytest.raises(storage.CopyMismatchError):
        storage.copy(bucket, source, "archive/a.csv")
    assert found(bucket, "archive/a.csv").download_as_bytes() == b"other"


def test_a_copy_of_an_overwritten_generation_copies_nothing(bucket: Bucket) -> None:
    put(bucket, "source/a.csv", "old")
    source = storage.find(bucket, "source/a.csv")
    put(bucket, "source/a.csv", "new")
    assert source is not None
    assert storage.copy(bucket, source, "archive/a.csv") is False
    assert names(bucket) == ["source/a.csv"]
