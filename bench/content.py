"""What a table holds, as one short value that does not depend on the order of rows: equal content, equal value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from bench.data import KEY, TYPES, as_utc, newest_per_key

_SEEDS = (1, 2)
_MASK = (1 << 64) - 1
_POLARS_TYPES = {"string": pl.String, "date": pl.Date, "timestamp": pl.Datetime("us", "UTC")}


@dataclass(frozen=True)
class Content:
    """Number of rows, and two sums of 64-bit hashes over them: rows can be added to it and taken from it."""

    rows: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: Content) -> Content:
        return Content(self.rows + other.rows, (self.first + other.first) & _MASK, (self.second + other.second) & _MASK)

    def __sub__(self, other: Content) -> Content:
        return self + Content(-other.rows, -other.first, -other.second)


def content_of(rows: pl.DataFrame) -> Content:
    """The content of a frame, in whatever order its columns are."""
    known = {name: _POLARS_TYPES[type_] for name, type_ in TYPES.items()}
    typed = rows.cast(known).select(sorted(rows.columns)).rechunk()
    sums = [int(typed.hash_rows(seed).to_numpy().sum(dtype=np.uint64)) for seed in _SEEDS]  # modulo 2^64
    return Content(rows.height, *sums)


def content_of_table(table: Path, where: str = "true") -> Content:
    """The content of a Delta table, or of those rows of it that meet a condition, read without Spark; without lineage.

    One reader for all judges what each peer wrote, so that no writer is its own witness.
    """
    if not DeltaTable.is_deltatable(str(table)):
        return Content()
    delta = DeltaTable(str(table))
    columns = ", ".join(field.name for field in delta.schema().fields if not field.name.startswith("_"))
    found = QueryBuilder().register("t", delta).execute(f"SELECT {columns} FROM t WHERE {where}")  # noqa: S608 - names of ours
    batches = pa.RecordBatchReader.from_stream(found)
    return _sum(content_of(pl.DataFrame(pl.from_arrow(batch))) for batch in batches if batch.num_rows)


def content_of_parts(parts: Iterable[pl.DataFrame]) -> Content:
    """The content of a table made of these frames."""
    return _sum(content_of(as_utc(part)) for part in parts)


def merged(target: Iterable[pl.DataFrame], base: Content, *deliveries: pl.DataFrame) -> Content:
    """What a target of content `base` must hold after these deliveries: of each key the newest row, told by no peer."""
    winners = newest_per_key(pl.concat(deliveries))
    keys = winners.select(KEY)
    known = pl.concat([part.join(keys, on=KEY, how="semi") for part in target])
    newest = newest_per_key(pl.concat([winners, known]))
    return base - content_of(as_utc(known)) + content_of(as_utc(newest))


def _sum(contents: Iterable[Content]) -> Content:
    return sum(contents, Content())
