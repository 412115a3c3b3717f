"""Everything the scenarios share: the server, the sizes, and the peers with their tables, each made once."""

import io
from collections.abc import Collection
from pathlib import Path

from bench.data import COLUMNS, Batch, Keys, batch_rows, newest_per_key, write_batch
from bench.delta_rs import DeltaRs
from bench.dlt_peer import Dlt
from bench.harness import Case, Harness
from bench.native_stage import NativeStage
from bench.ours import Ours
from bench.peer import Peer, Stager
from bench.plain_spark import BareSpark, PlainSpark
from bench.server import Server
from bench.sizes import Merge, Size
from bench.target import Target, make_target


class Lab:
    """`only` names the peers to run, by the beginning of their names; none means all."""

    def __init__(self, folder: Path, server: Server, size: Size, only: Collection[str]) -> None:
        self.folder, self.server, self.size, self._only = folder, server, size, only
        self.harness = Harness(server, size.rounds, size.fresh)
        self._targets: dict[tuple[int, int, int], Target] = {}
        self._peers: dict[str, list[Peer]] = {}

    def target(self, of: Merge) -> Target:
        """The target of that size."""
        size = (of.target, of.files, of.width)
        if size not in self._targets:
            self._targets[size] = make_target(self.folder / "targets", *size)
        return self._targets[size]

    def peers(self, target: Target) -> list[Peer]:
        """The peers, each with a table that holds the target."""
        if target.name not in self._peers:
            native = self.folder / "native" / target.name
            peers: list[Peer] = [
                Ours(self.server, self.folder / "manifests" / target.name, f"bench_{target.name}", target.width),
                PlainSpark(self.server, f"bench_{target.name}_plain", target.width),
            ]
            if target.width == len(COLUMNS):
                peers += [DeltaRs(native, literal=False), DeltaRs(native, literal=True), Dlt(native / "dlt")]
            self._peers[target.name] = [peer for peer in peers if self._wanted(peer)]
            for peer in self._peers[target.name]:
                peer.build(target)
        return self._peers[target.name]

    def stagers(self) -> list[Stager]:
        """The peers that stage."""
        ours = Ours(self.server, self.folder / "manifests" / "stage", "bench_stage", len(COLUMNS))
        bare = BareSpark(self.server, "bench_bare")
        native = [NativeStage(self.folder / "native", reader) for reader in ("Polars", "DuckDB")]
        with self.server.session() as spark:
            ours.build_staging(spark)
        bare.build()
        return [stager for stager in (ours, bare, *native) if self._wanted(stager)]

    def batch(self, of: Merge, keys: Keys) -> Batch:
        """The delivery of that size."""
        name = f"{keys}_{of.target}_{of.files}_{of.batch}_{of.width}"
        rows = batch_rows(of.target, of.files, of.batch, keys, of.width)
        return write_batch(self.folder / "input", name, rows)

    def case(self, id_: str, title: str, of: Merge, batch: Batch) -> Case:
        """A case of a merge, with its sizes; `own_bytes` is what the rows it brings weigh as a Parquet file."""
        parquet = io.BytesIO()
        newest_per_key(batch.rows).write_parquet(parquet, compression="snappy")
        facts = {"target_rows": of.target, "target_files": of.files, "rows": batch.rows.height, "files": 1}
        facts |= {"columns": of.width} if of.width != len(COLUMNS) else {}
        return Case(id_, title, facts | {"csv_bytes": batch.bytes, "own_bytes": parquet.tell()})

    def _wanted(self, peer: Peer | Stager) -> bool:
        return not self._only or peer.name.startswith(tuple(self._only))
