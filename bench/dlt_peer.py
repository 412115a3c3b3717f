"""dlt: `write_disposition` merge with the upsert strategy, from an Arrow table to Delta on the file system."""

import os
import shutil
from pathlib import Path

from bench.data import KEY, Batch, newest_per_key
from bench.delta_rs import read_csv, write_target
from bench.peer import Clock, Seconds
from bench.target import Target

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")
import dlt
from dlt.destinations import filesystem

_DATASET, _TABLE = "bench", "orders"


class Dlt:
    """A pipeline in this process, which is warm; its state and its tables are a fresh copy for each load."""

    name = "dlt upsert"
    kind = "dlt"
    why = "a normalised file and then delta-rs's merge; no guard on the time, so the row that comes last wins"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._built, self._copy = folder / "built", folder / "copy"
        self._last: Batch | None = None

    @property
    def table(self) -> Path:
        """The copy that is merged into."""
        return self._copy / "bucket" / _DATASET / _TABLE

    def build(self, target: Target) -> None:
        """The pipeline makes its table from one row, which is then replaced by the target, laid out as asked."""
        row = next(target.parts()).head(1)
        self._run(self._built, row.to_arrow())
        table = self._built / "bucket" / _DATASET / _TABLE
        shutil.rmtree(table)
        write_target(table, target)

    def reset(self) -> None:
        """Copy the pipeline's state and all its tables."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._built, self._copy)

    def load(self, batch: Batch) -> Seconds:
        """Read and dedupe (dlt's upsert takes a key once), then the whole pipeline."""
        self._last = batch
        clock = Clock()
        with clock.step("stage"):
            rows = newest_per_key(read_csv(batch)).to_arrow()
        with clock.step("merge"):
            self._run(self._copy, rows)
        return clock.seconds

    def repeat(self) -> Seconds:
        """The same load again: the pipeline does not know that it has seen it."""
        if self._last is None:
            raise RuntimeError("nothing was loaded before")
        return self.load(self._last)

    def _run(self, home: Path, rows: object) -> None:
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=str(home / "pipelines"),
            destination=filesystem(bucket_url=(home / "bucket").as_uri()),
            dataset_name=_DATASET,
        )
        pipeline.run(
            rows,
            table_name=_TABLE,
            write_disposition={"disposition": "merge", "strategy": "upsert"},
            primary_key=KEY,
            table_format="delta",
        ).raise_on_failed_jobs()
