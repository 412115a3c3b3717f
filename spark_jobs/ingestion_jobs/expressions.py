"""Conditions joined as a balanced tree: hundreds of them one within the other are more than Spark Connect takes."""

from collections.abc import Sequence

from pyspark.sql import Column


def any_of(conditions: Sequence[Column]) -> Column:
    """Whether one of these conditions holds, of which there is at least one."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return any_of(conditions[:half]) | any_of(conditions[half:])
