"""Datetime patterns that a feed may have. tests/spark_jobs/test_typing_rules.py holds the same ones against Spark."""

import pytest

from ingestion.pipeline.datetime_formats import EPOCH_FORMATS, check_format
from tests.ingestion.pipeline.formats import MISREAD, READABLE, UNREADABLE


@pytest.mark.parametrize("pattern", [*READABLE, *EPOCH_FORMATS])
def test_a_pattern_that_says_a_day_is_taken(pattern: str) -> None:
    check_format(pattern)


@pytest.mark.parametrize(("pattern", "meant"), (UNREADABLE | MISREAD).items())
def test_another_is_refused_with_what_was_probably_meant(pattern: str, meant: str | None) -> None:
    with pytest.raises(ValueError, match="format ") as refused:
        check_format(pattern)
    suggestion = str(refused.value).partition("; did you mean ")[2]
    assert suggestion == (f"{meant!r}?" if meant else "")
