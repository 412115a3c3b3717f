"""Runs the peers in turn on the same data, proves what each wrote, and keeps the times."""

import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from deltalake import DeltaTable

from bench.content import Content, content_of_table
from bench.data import Batch
from bench.effects import Effect, effect_since, mark
from bench.peer import Peer, Seconds, Stager
from bench.server import Server


@dataclass
class Run:
    """One load: seconds by step, the one-minute load before it, processor seconds of server and this process."""

    steps: Seconds
    load: float
    cpu: float | None = None
    input_read: float | None = None  # how often a Spark server read the input, in bytes over bytes


@dataclass
class Result:
    """What one peer took in one case. `wrong` says what its table held instead; such times do not count."""

    peer: str
    why: str
    runs: list[Run] = field(default_factory=list)
    effect: Effect | None = None
    wrong: str = ""


@dataclass
class Case:
    """One scenario on one size of data; `facts` are its sizes."""

    id: str
    title: str
    facts: dict[str, int]
    results: list[Result] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return asdict(self)


@dataclass
class Harness:
    """`rounds` count; before them one is discarded, or `fresh` while the server has just been started."""

    server: Server
    rounds: int
    fresh: int
    server_is_fresh: bool = True

    def merges(
        self,
        case: Case,
        peers: Sequence[Peer],
        batch: Batch | None,
        want: Content,
        prior: Batch | None = None,
    ) -> Case:
        """Time the load of `batch`, or without one the repetition of the merge of `prior`.

        Each load starts from the table as it was built. After a `prior` load the table is kept for all rounds: what is
        timed must change nothing, and if it does the peer is shown as wrong.
        """
        return self._rounds(
            case, peers, lambda peer, result, first: _merge(self, peer, result, batch, prior, first), want
        )

    def stages(self, case: Case, stagers: Sequence[Stager], batch: Batch, want: Content) -> Case:
        """Time the staging of `batch`."""
        return self._rounds(case, stagers, lambda stager, result, _: _stage(self, stager, result, batch), want)

    def _rounds(self, case: Case, peers: Sequence[Peer | Stager], run: Callable[..., Content], want: Content) -> Case:
        discarded = self.fresh if self.server_is_fresh else 1
        case.results = [Result(peer.name, peer.why) for peer in peers]
        for number in range(discarded + self.rounds):
            # In turns, so that a busy minute of the machine is everybody's.
            for peer, result in zip(peers, case.results, strict=True):
                if not result.wrong.startswith("failed"):
                    guarded(peer, result, run, want, number == 0)
        for result in case.results:
            del result.runs[:discarded]
        self.server_is_fresh = False
        tell(case)
        return case

    def timed(self, action: Callable[[], Seconds], input_bytes: int = 0) -> Run:
        """Run something; what was written before is first put on the disk, so that nobody pays for others."""
        os.sync()
        load = os.getloadavg()[0]
        cpu, read = self._cpu(), self.server.read_bytes()
        steps = action()
        ratio = (self.server.read_bytes() - read) / input_bytes if input_bytes else None
        return Run(steps, load, self._cpu() - cpu, ratio)

    @contextmanager
    def observed(self, peer: Peer, result: Result) -> Iterator[None]:
        """Keep what happens to the peer's table meanwhile."""
        before = mark(peer.table, len(DeltaTable(str(peer.table)).file_uris()))
        log = self.server.log_size()
        yield
        result.effect = effect_since(peer.table, before)
        if peer.table.is_relative_to(self.server.lakehouse):
            names = self.server.files_read(peer.table, log)
            read = None if names is None else len(names & before.files)
            result.effect = replace(result.effect, files_read=read)

    def _cpu(self) -> float:
        return self.server.cpu_seconds() + time.process_time()


def check(result: Result, found: Content, want: Content) -> None:
    """Hold what a table has against what it must have."""
    if found != want and not result.wrong:
        rows = f"{found.rows:,} rows instead of {want.rows:,}" if found.rows != want.rows else "other rows"
        result.wrong = f"the table holds {rows}"


def guarded(peer: Peer | Stager, result: Result, run: Callable[..., Content], want: Content, first: bool) -> None:
    """A peer that fails is told as such, and the others go on."""
    try:
        check(result, run(peer, result, first), want)
    except Exception as error:
        traceback.print_exc()
        result.wrong = f"failed: {str(error).strip().splitlines()[0][:200]}"


def _merge(
    harness: Harness, peer: Peer, result: Result, batch: Batch | None, prior: Batch | None, first: bool
) -> Content:
    if first or prior is None:
        peer.reset()
        if prior is not None:
            peer.load(prior)
    with harness.observed(peer, result):
        result.runs.append(harness.timed(lambda: peer.load(batch) if batch else peer.repeat()))
    return content_of_table(peer.table)


def _stage(harness: Harness, stager: Stager, result: Result, batch: Batch) -> Content:
    staged = []

    def action() -> Seconds:
        staged.append(stager.stage(batch))
        return staged[0].seconds

    run = harness.timed(action, batch.bytes)
    if "delta-rs" in stager.name:
        run.input_read = None  # it was not the server that read
    result.runs.append(run)
    found = content_of_table(staged[0].table, staged[0].where)
    stager.forget(staged[0])
    return found


def tell(case: Case) -> None:
    """Print the times of a case as soon as they are known."""
    print(f"\n{case.id}: {case.title}")
    for result in case.results:
        seconds = ", ".join(f"{sum(run.steps.values()):.2f}" for run in result.runs)
        print(f"  {result.peer:24} {seconds} s" + (f"  WRONG: {result.wrong}" if result.wrong else ""), flush=True)
