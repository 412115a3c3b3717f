"""Made-up order tracking rows, the same in every run: targets in files ordered by key, and batches as CSV files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

KEY, ORDER_BY = "tracking_num", "last_update_timestamp"
# Each column with its type in SQL.
TYPES = {
    "order_num": "string",
    KEY: "string",
    "pck_recieved_date": "date",
    "package_deliver_date": "date",
    "status": "string",
    "address": "string",
    ORDER_BY: "timestamp",
}
COLUMNS = tuple(TYPES)
DELIVERED_AT = "2026-11-20T10:14:58Z"
Keys = Literal["recent", "scattered"]

_SEED = 20261120
_DAY_ZERO = datetime(2025, 1, 1)  # noqa: DTZ001 - files say times without a zone
_TARGET_DAYS = 365
_NEWEST = datetime(2026, 11, 19)  # noqa: DTZ001
_STALE = datetime(2024, 6, 1)  # noqa: DTZ001
_STATUSES = ("Ordered", "Packed", "In Transit", "Out for Delivery", "Delivered")
_STREETS = ("Elm Street", "Mill Lane", "Park Avenue", "Station Road", "High Street", "Church Walk", "Victoria Terrace")
_TOWNS = ("Leeds", "York", "Hull", "Bradford", "Sheffield", "Harrogate", "Ripon", "Wakefield", "Scarborough")
_COMMA_SHARE = 0.1  # of addresses that hold a comma, and so stand in quotes
_FURTHER_TYPES = ("string", "bigint", "decimal(12,2)", "date")  # of the columns that wide files have beside these


@dataclass(frozen=True)
class Batch:
    """The files of one delivery, and its rows as they must be understood."""

    name: str
    files: tuple[Path, ...]
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def bytes(self) -> int:
        """What its files weigh."""
        return sum(file.stat().st_size for file in self.files)


def types_of(width: int) -> dict[str, str]:
    """The columns of files that are so many columns wide, with their types in SQL."""
    further = enumerate(islice(cycle(_FURTHER_TYPES), width - len(TYPES)), start=len(TYPES) + 1)
    return TYPES | {f"{type_.split('(')[0]}_{number:03}": type_ for number, type_ in further}


def target_parts(rows: int, files: int, width: int) -> list[pl.DataFrame]:
    """The rows of a target, one frame for each file, ordered by key.

    Keys are the even numbers, so that a batch can bring new keys anywhere between them.
    """
    generator = np.random.default_rng(_SEED)
    bounds = np.linspace(0, rows, files + 1, dtype=np.int64)
    parts = []
    for low, high in pairwise(bounds):
        seconds = generator.integers(0, _TARGET_DAYS * 86400, high - low)
        parts.append(_rows(np.arange(low, high) * 2, _DAY_ZERO, seconds, generator, width))
    return parts


def batch_rows(target_rows: int, target_files: int, rows: int, keys: Keys, width: int) -> pl.DataFrame:
    """A delivery of which one half updates and the other half is new, all of it newer than the target, in no order.

    `recent` keys lie in the target's last file or beyond its end, as those of a daily file do where keys rise with
    time; `scattered` keys lie anywhere, as random ones do.
    """
    generator = np.random.default_rng(_SEED + 1)
    updates = rows // 2
    first = 0 if keys == "scattered" else target_rows - target_rows // target_files
    known = _sample(generator, first, target_rows, updates) * 2
    if keys == "scattered":
        new = _sample(generator, 0, target_rows, rows - updates) * 2 + 1
    else:
        new = (target_rows + np.arange(rows - updates)) * 2
    numbers = generator.permutation(np.concatenate([known, new]))
    # No two rows have the same time: every peer must then find the same newest one.
    seconds = -generator.permutation(rows)
    return _rows(numbers, _NEWEST, seconds, generator, width)


def stale_rows(batch: pl.DataFrame) -> pl.DataFrame:
    """The same keys as a delivery from long before the target's rows: a late one, of which nothing may win."""
    behind = _NEWEST - _STALE
    return batch.with_columns(pl.col(ORDER_BY) - behind, status=pl.lit("Ordered"))


def with_duplicates(batch: pl.DataFrame, share: float) -> pl.DataFrame:
    """The delivery with this share of its rows replaced by older rows of keys that it has anyway."""
    count = int(batch.height * share)
    kept = batch.head(batch.height - count)
    older = kept.head(count).with_columns(pl.col(ORDER_BY) - timedelta(days=30), status=pl.lit("Packed"))
    return pl.concat([kept, older]).sample(fraction=1.0, shuffle=True, seed=_SEED)


def bulk_rows(rows: int) -> pl.DataFrame:
    """Rows for staging alone, in the order of their keys."""
    generator = np.random.default_rng(_SEED + 2)
    return _rows(np.arange(rows), _NEWEST, -generator.permutation(rows), generator, len(COLUMNS))


def write_batch(folder: Path, name: str, rows: pl.DataFrame, files: int = 1) -> Batch:
    """Write the rows as CSV files: header, quotes only where needed, empty fields for NULL."""
    folder.mkdir(parents=True, exist_ok=True)
    bounds = np.linspace(0, rows.height, files + 1, dtype=np.int64).tolist()
    paths = []
    for number, (low, high) in enumerate(pairwise(bounds), start=1):
        path = folder / f"{name}-{number:03}.csv"
        rows.slice(low, high - low).write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S", quote_style="necessary")
        paths.append(path)
    return Batch(name, tuple(paths), rows)


def newest_per_key(rows: pl.DataFrame) -> pl.DataFrame:
    """The row of each key that must win within a delivery."""
    return rows.sort(ORDER_BY).unique(KEY, keep="last")


def as_utc(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the zone of their times said, as tables hold them."""
    return rows.with_columns(pl.col(ORDER_BY).dt.replace_time_zone("UTC"))


def _sample(generator: np.random.Generator, low: int, high: int, count: int) -> np.ndarray:
    return low + generator.choice(high - low, size=count, replace=False)


def _rows(
    numbers: np.ndarray, start: datetime, seconds: np.ndarray, generator: np.random.Generator, width: int
) -> pl.DataFrame:
    count = len(numbers)
    received = generator.integers(0, 300, count)
    frame = pl.DataFrame(
        {
            "number": numbers,
            "received": received,
            # A good part of the packages is still on its way.
            "delivered": np.where(generator.random(count) < 0.3, -1, received + generator.integers(1, 9, count)),
            "seconds": seconds,
            "house": generator.integers(1, 400, count),
            "comma": generator.random(count) < _COMMA_SHARE,
            "status": _choice(generator, _STATUSES, count),
            "street": _choice(generator, _STREETS, count),
            "town": _choice(generator, _TOWNS, count),
        }
    )
    day = pl.lit(_DAY_ZERO.date())
    address = pl.concat_str("house", pl.lit(" "), "street", pl.when("comma").then(pl.lit(", ")).otherwise(pl.lit(" ")))
    further = list(types_of(width).items())[len(TYPES) :]
    return frame.select(
        _numbered("ORD-", pl.col("number") // 3).alias("order_num"),
        _numbered("TRK-", pl.col("number")).alias(KEY),
        (day + pl.duration(days="received")).cast(pl.Date).alias("pck_recieved_date"),
        pl.when(pl.col("delivered") >= 0)
        .then((day + pl.duration(days="delivered")).cast(pl.Date))
        .alias("package_deliver_date"),
        "status",
        pl.concat_str(address, "town").alias("address"),
        (pl.lit(start) + pl.duration(seconds="seconds")).cast(pl.Datetime("us")).alias(ORDER_BY),
        *(_further(generator, name, type_, count) for name, type_ in further),
    )


def _further(generator: np.random.Generator, name: str, type_: str, count: int) -> pl.Series:
    if type_ == "string":
        return _choice(generator, _STREETS, count).alias(name)
    numbers = pl.Series(name, generator.integers(0, 40_000, count))
    if type_ == "date":
        return numbers.cast(pl.Int32).cast(pl.Date)
    return (numbers / 100).cast(pl.Decimal(12, 2)) if type_.startswith("decimal") else numbers


def _numbered(prefix: str, number: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit(prefix), number.cast(pl.String).str.zfill(10))


def _choice(generator: np.random.Generator, values: Sequence[str], count: int) -> pl.Series:
    return pl.Series(values).gather(generator.integers(0, len(values), count))
