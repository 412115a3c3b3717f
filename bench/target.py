"""A target to merge into: its rows as Parquet files, from which each peer's own table is made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bench.content import Content, content_of_parts
from bench.data import target_parts


@dataclass(frozen=True)
class Target:
    """`files` hold consecutive ranges of keys, as a table does whose keys rise with time or that is clustered."""

    name: str
    rows: int
    width: int
    files: tuple[Path, ...]
    content: Content

    def parts(self) -> Iterator[pl.DataFrame]:
        """Its rows, file by file."""
        return (pl.read_parquet(file).drop("_n") for file in self.files)


def make_target(folder: Path, rows: int, files: int, width: int) -> Target:
    """Write the files of a target, with the number of each row as `_n`."""
    name = f"t{rows}_{files}_{width}"
    parts = target_parts(rows, files, width)
    (folder / name).mkdir(parents=True)
    paths, first = [], 0
    for number, part in enumerate(parts):
        path = folder / name / f"part-{number:04}.parquet"
        part.with_row_index("_n", offset=first).with_columns(pl.col("_n").cast(pl.Int64)).write_parquet(path)
        paths.append(path)
        first += part.height
    return Target(name, rows, width, tuple(paths), content_of_parts(parts))
