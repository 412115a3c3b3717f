"""How much data each scenario works on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Merge:
    """A batch of `batch` rows into a target of `target` rows in `files` files ordered by key, `width` columns each."""

    target: int
    files: int
    batch: int
    width: int = 7


@dataclass(frozen=True)
class Size:
    """`rounds` count after one is discarded, `fresh` on a server that was just started; `stages` are rows and files."""

    name: str
    rounds: int
    fresh: int
    cold_rounds: int
    daily: Merge
    stages: tuple[tuple[int, int], ...]
    headline: Merge
    ordered: Merge  # S3 and S4
    again: Merge  # S6
    wide: tuple[Merge, ...] = (Merge(1_000, 1, 1_000, 500), Merge(100_000, 1, 100_000, 80))


TINY = Size(
    name="tiny",
    rounds=1,
    fresh=1,
    cold_rounds=1,
    daily=Merge(4_000, 4, 500),
    stages=((1_000, 1), (2_000, 1), (2_000, 5)),
    headline=Merge(5_000, 5, 1_000),
    ordered=Merge(6_000, 6, 1_000),
    again=Merge(4_000, 4, 500),
    wide=(Merge(100, 1, 100, 20),),
)
SMALL = Size(
    name="small",
    rounds=3,
    fresh=2,
    cold_rounds=1,
    daily=Merge(200_000, 5, 5_000),
    stages=((50_000, 1), (150_000, 1), (150_000, 30)),
    headline=Merge(500_000, 5, 50_000),
    ordered=Merge(1_000_000, 25, 100_000),
    again=Merge(200_000, 5, 5_000),
)
FULL = Size(
    name="full",
    rounds=5,
    fresh=3,
    cold_rounds=3,
    daily=Merge(1_000_000, 5, 10_000),
    stages=((100_000, 1), (5_000_000, 1), (5_000_000, 30)),
    headline=Merge(1_000_000, 5, 100_000),
    ordered=Merge(5_000_000, 25, 100_000),
    again=Merge(1_000_000, 5, 100_000),
)
SIZES = {size.name: size for size in (TINY, SMALL, FULL)}
