"""Staging without a JVM: Polars or DuckDB read the CSV, delta-rs writes the table."""

import shutil
from pathlib import Path

import duckdb
import polars as pl
from deltalake import write_deltalake

from bench.data import COLUMNS, ORDER_BY, Batch, as_utc
from bench.peer import Clock, Staged

_DATES = ("pck_recieved_date", "package_deliver_date")
_POLARS_TYPES = dict.fromkeys(COLUMNS, pl.String) | dict.fromkeys(_DATES, pl.Date) | {ORDER_BY: pl.Datetime("us")}
_DUCKDB_TYPES = dict.fromkeys(COLUMNS, "VARCHAR") | dict.fromkeys(_DATES, "DATE") | {ORDER_BY: "TIMESTAMP"}


class NativeStage:
    """A new table each time; `reader` is Polars or DuckDB."""

    why = "native code in one process: no server to ask, no checks, no place in the file, no counts"

    def __init__(self, folder: Path, reader: str) -> None:
        self.name = f"{reader} to delta-rs"
        self._folder, self._reader, self._number = folder / reader, reader, 0

    def stage(self, batch: Batch) -> Staged:
        """Read and write."""
        self._number += 1
        table = self._folder / f"staged_{self._number}"
        files = [str(file) for file in batch.files]
        clock = Clock()
        with clock.step("stage"):
            rows = _by_duckdb(files) if self._reader == "DuckDB" else pl.read_csv(files, schema=_POLARS_TYPES)
            write_deltalake(str(table), as_utc(rows).to_arrow(), mode="append")
        return Staged(clock.seconds, table)

    def forget(self, staged: Staged) -> None:
        """Remove the table."""
        shutil.rmtree(staged.table)


def _by_duckdb(files: list[str]) -> pl.DataFrame:
    with duckdb.connect() as connection:
        query = "SELECT * FROM read_csv(?, columns=?, header=true)"
        found = connection.sql(query, params=[files, _DUCKDB_TYPES])
        return pl.DataFrame(pl.from_arrow(found.to_arrow_table()))
