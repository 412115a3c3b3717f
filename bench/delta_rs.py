"""delta-rs, a native engine without a JVM: it merges what pyarrow has read and Polars has deduped."""

import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv
from deltalake import DeltaTable, write_deltalake

from bench.data import COLUMNS, KEY, ORDER_BY, Batch, as_utc, newest_per_key
from bench.peer import Clock, Seconds
from bench.target import Target

_TYPES = dict.fromkeys(COLUMNS, pa.string()) | {
    "pck_recieved_date": pa.date32(),
    "package_deliver_date": pa.date32(),
    ORDER_BY: pa.timestamp("us"),
}


def read_csv(batch: Batch) -> pl.DataFrame:
    """The rows of a batch by pyarrow, the fastest of the native readers, as typed as Spark reads them."""
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    convert = pa.csv.ConvertOptions(column_types=_TYPES, strings_can_be_null=True, null_values=[""])
    tables = [pa.csv.read_csv(file, parse_options=parse, convert_options=convert) for file in batch.files]
    return as_utc(pl.DataFrame(pl.from_arrow(pa.concat_tables(tables))))


def write_target(table: Path, target: Target) -> None:
    """A table of delta-rs's own writing, with one file for each of the target's, and a checkpoint."""
    for part in target.parts():
        write_deltalake(str(table), as_utc(part).to_arrow(), mode="append")
    DeltaTable(str(table)).create_checkpoint()


class DeltaRs:
    """delta-rs in this process, which is warm; the table is a fresh copy for each load."""

    def __init__(self, folder: Path, literal: bool) -> None:
        self.name = "delta-rs, literal range" if literal else "delta-rs"
        self.why = "native code in one process, no server to ask, no checks, counts or log; rewrites whole files"
        self.kind, self.folder = "literal" if literal else "delta-rs", folder
        self._home, self._literal = folder / self.kind, literal
        self._last = pl.DataFrame()

    @property
    def table(self) -> Path:
        """The copy that is merged into."""
        return self._home / "copy"

    def build(self, target: Target) -> None:
        """The table that is copied."""
        write_target(self._home / "built", target)

    def reset(self) -> None:
        """A copy: whole tables are small enough, and delta-rs keeps nothing in memory between loads."""
        shutil.rmtree(self.table, ignore_errors=True)
        shutil.copytree(self._home / "built", self.table)

    def load(self, batch: Batch) -> Seconds:
        """Read and dedupe, then merge; nothing is staged."""
        clock = Clock()
        with clock.step("stage"):
            self._last = newest_per_key(read_csv(batch))
        return clock.seconds | self.repeat()

    def repeat(self) -> Seconds:
        """The merge again, from the rows still in memory."""
        clock = Clock()
        with clock.step("merge"):
            predicate = f"t.{KEY} = s.{KEY}"
            if self._literal:
                low, high = self._last[KEY].min(), self._last[KEY].max()
                predicate += f" AND t.{KEY} >= '{low}' AND t.{KEY} <= '{high}'"
            merger = DeltaTable(str(self.table)).merge(
                self._last.to_arrow(), predicate, source_alias="s", target_alias="t"
            )
            merger.when_matched_update_all(f"s.{ORDER_BY} > t.{ORDER_BY}").when_not_matched_insert_all().execute()
        return clock.seconds
