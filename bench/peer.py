"""What the harness asks of each peer."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.data import Batch
from bench.target import Target

Seconds = dict[str, float]


class Peer(Protocol):
    """A way to load CSV files into a Delta table. `why` says where its speed, or its lack of it, comes from."""

    name: str
    why: str

    def build(self, target: Target) -> None:
        """Make a table of its own that holds the target; not timed."""

    def reset(self) -> None:
        """Put the table back to what it was built as; not timed."""

    def load(self, batch: Batch) -> Seconds:
        """Load a delivery that was never seen before; seconds by step."""

    def repeat(self) -> Seconds:
        """Do the last merge again, as after a task was cleared; seconds by step."""

    @property
    def table(self) -> Path:
        """The folder of its table."""


@dataclass(frozen=True)
class Staged:
    """Where a delivery was staged; `where` is the condition that finds its rows in the table."""

    seconds: Seconds
    table: Path
    where: str = "true"


class Stager(Protocol):
    """A way to bring CSV files into a staging table, without a merge."""

    name: str
    why: str

    def stage(self, batch: Batch) -> Staged:
        """Stage a delivery that was never seen before."""

    def forget(self, staged: Staged) -> None:
        """Remove what was staged, where it would fill the disk; not timed."""


class Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: Seconds = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; one that fails has no time."""
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
