"""The target depends on the delivered files alone, shown on random deliveries against tests/oracle.py.

A merge takes Spark seconds, so a run packs many scenarios: each has its own keys and objects, and batch n of the run
holds what every scenario delivers in its step n.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ingestion_jobs.manifest import read_manifest
from ingestion_jobs.merging import merge
from ingestion_jobs.staging import stage
from ingestion_jobs.tables import ensure_staging_tables
from tests.oracle import Delivery, expected_counts, expected_target
from tests.spark_jobs.conftest import HEADER, ORDER_COLUMNS, Lake
from tests.spark_jobs.scenarios import File, Pack, Scenario, packs

FEED = {"columns": [*ORDER_COLUMNS[:-1], ORDER_COLUMNS[-1] | {"formats": ["yyyy-MM-dd HH:mm:ss[.SSSSSS]"]}]}
STAGING_SCHEMA = (
    "order_num string, tracking_num string, pck_recieved_date date, package_deliver_date date, status string, "
    "address string, last_update_timestamp timestamp, _delivered_at timestamp, _source_file string, "
    "_generation bigint, _record bigint, _batch_id string, _reasons array<string>, _raw string"
)


# Fills staging with a batch: its manifest and its files.
Staged = Callable[[Lake, str, list[File]], None]


def from_csv(lake: Lake, uri: str, files: list[File]) -> None:
    """Stage by the job itself."""
    result = stage(lake.spark, uri)
    assert result["rows_staged"] == result["rows_read"] == sum(len(file.rows) for file in files), result["reasons"]


def from_rows(lake: Lake, uri: str, files: list[File]) -> None:
    """Put the rows into staging without reading the files."""
    manifest = read_manifest(lake.spark, uri)
    ensure_staging_tables(lake.spark, manifest)
    rows = [row for file in files for row in file.typed_rows(manifest.batch_id)]
    frame = lake.spark.createDataFrame(rows, STAGING_SCHEMA).coalesce(1)
    frame.write.format("delta").mode("append").saveAsTable(manifest.tables.staging)


@dataclass
class Run:
    """Batches merged one after the other into one target, each held against the oracle at once."""

    lake: Lake
    staged: Staged
    named: dict[str, Scenario] = field(default_factory=dict)
    batches: list[list[Delivery]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    failure: BaseException | None = None

    def check(self, pack: Pack) -> None:
        """Run a pack. hypothesis repeats what failed: that gets the same failure, not one from the spoilt tables."""
        if self.failure is None:
            try:
                return self._check(pack)
            except (Exception, pytest.fail.Exception) as failure:
                self.failure = failure
        raise self.failure

    def _check(self, pack: Pack) -> None:
        """Deliver all scenarios, then merge one of the batches again, then all files in one new batch."""
        names = {f"{next(self.lake.numbers):05}": scenario for scenario in pack.scenarios}
        self.named |= names
        files = [(file.of(name), steps) for name, scenario in names.items() for file, steps in scenario.files]
        uris = [self._load([file for file, steps in files if step in steps]) for step in range(1, pack.steps + 1)]
        versions = self._versions()
        again = merge(self.lake.spark, uris[pack.replayed - 1])
        assert self._versions() == versions, "a batch merged again writes nothing"
        assert again == self.results[pack.replayed - 1 - pack.steps], "the counts of a batch merged again"
        self._load([file for file, _ in reversed(files)])
        assert self._versions()["order_tracking"] == versions["order_tracking"], "files merged again write nothing"
        self._check_log()
        self.figures += Counter(scenarios=len(names), files=len(files), batches=pack.steps, replayed_batches=2)

    def _load(self, files: list[File]) -> str:
        self.batches.append([file.delivery for file in files])
        entries = [
            self.lake.deliver(delivery.text, file.generation, object=file.object, delivered_at=file.delivered_at)
            for file, delivery in zip(files, self.batches[-1], strict=True)
        ]
        uri = self.lake.manifest(*entries, **FEED)
        self.staged(self.lake, uri, files)
        self.results.append(merge(self.lake.spark, uri))
        self._check_target()
        expected = expected_counts(self.batches)[-1]
        self.figures += Counter(expected)
        found = {name: self.results[-1][name] for name in expected}
        assert found == expected, f"counts of batch {len(self.batches)}"
        assert 2 * found["rows_staged"] == sum(found.values()), "the counts add up"
        return uri

    def _check_target(self) -> None:
        expected = expected_target([delivery for batch in self.batches for delivery in batch])
        columns = [*HEADER.split(","), "_delivered_at", "_source_file", "_generation", "_record"]
        found: dict[str, list[dict[str, object]]] = defaultdict(list)
        for values in self.lake.target(*columns):
            row = {name: plain(value) for name, value in zip(columns, values, strict=True)}
            found[str(row["tracking_num"])].append(row)
        for key in sorted({*expected, *found}):
            if found[key] != ([expected[key]] if key in expected else []):
                pytest.fail(self._story(key, expected.get(key), found[key]))

    def _check_log(self) -> None:
        """One row per batch, with the counts of its first merge."""
        expected = expected_counts(self.batches)
        logged = self.lake.rows("ingestion_log", ["batch_id", "object", *expected[0]], order_by="merged_at")
        batches = [result["batch_id"] for result in self.results]
        totals = [values for values in logged if values[1] is None]
        assert totals == [(of, None, *counts.values()) for of, counts in zip(batches, expected, strict=True)]

    def _versions(self) -> dict[str, int]:
        return {table: self.lake.version(table) for table in ("order_tracking", "ingestion_log")}

    def _story(self, key: str, expected: dict[str, object] | None, found: list[dict[str, object]]) -> str:
        name = key.split("/")[0]
        lines = [f"scenario {name} after batch {len(self.batches)}, key {key!r}", f"expected: {expected}"]
        lines += [f"found:    {row}" for row in found] or ["found:    no row"]
        for file, steps in self.named[name].files if name in self.named else ():
            upload = f"{file.object!r} generation {file.generation} of {file.delivered_at}"
            lines.append(f"{upload}, delivered in steps {steps}:")
            lines += [f"    {n}: {row}" for n, row in enumerate(file.rows, start=1)]
        return "\n".join(lines)


def plain(value: object) -> object:
    """A value as the oracle has it: dates as text, times without their zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value.isoformat() if isinstance(value, date) else value


def run_packs(lake: Lake, staged: Staged, examples: int, size: int, steps: int, same_each_time: bool) -> Counter[str]:
    """Run so many packs of `size` scenarios; the figures of all."""
    run = Run(lake, staged)

    # Without shrinking, which would take an hour of merges: a failure tells the story of one small scenario.
    @settings(
        max_examples=examples,
        derandomize=same_each_time,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(pack=packs(size=size, steps=steps))
    def converges(pack: Pack) -> None:
        run.check(pack)

    converges()
    return run.figures


def test_any_order_batching_and_repetition_gives_the_same_target(lake: Lake) -> None:
    figures = run_packs(lake, from_csv, examples=1, size=10, steps=3, same_each_time=True)
    assert {"rows_inserted", "rows_updated", "rows_stale", "rows_duplicate"} <= figures.keys(), "every fate is met"


@pytest.mark.soak
@pytest.mark.parametrize("part", range(5))  # from its tenth example on, hypothesis would vary those before
def test_many_deliveries_converge(lake: Lake, part: int) -> None:
    figures = run_packs(lake, from_rows, examples=8, size=25, steps=4, same_each_time=False)
    print(f"part {part}: {dict(figures)}")
