"""What the target must hold, computed from the raw deliveries in plain Python. Shares no code with the pipeline."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")


@dataclass(frozen=True)
class Delivery:
    """One upload: the object's name, the generation and time that the bucket gave it, and its text."""

    object: str
    generation: int
    delivered_at: datetime
    text: str


def expected_target(deliveries: list[Delivery]) -> dict[str, dict[str, object]]:
    """By tracking_num, the row with the greatest (last_update_timestamp, delivered_at, generation, file, record).

    With its lineage, times being UTC without their zone. For well-formed rows with timestamps like 2026-11-20 10:00:00
    or with microseconds; rows that cannot be read so are left out.
    """
    winners: dict[str, dict[str, object]] = {}
    for delivery in deliveries:
        for key, row in readable_rows(delivery):
            if key not in winners or rank(row) > rank(winners[key]):
                winners[key] = row
    return winners


def expected_counts(batches: list[list[Delivery]]) -> list[dict[str, int]]:
    """The counts of each batch, merged in this order into what begins as an empty target."""
    target: dict[str, tuple[object, ...]] = {}
    counts = []
    for batch in batches:
        places: dict[str, list[tuple[object, ...]]] = {}
        for delivery in batch:
            for key, row in readable_rows(delivery):
                places.setdefault(key, []).append(rank(row))
        inserted = {key for key in places if key not in target}
        updated = {key for key in places if key in target and max(places[key]) > target[key]}
        counts.append(
            {
                "rows_staged": sum(len(of_key) for of_key in places.values()),
                "rows_inserted": len(inserted),
                "rows_updated": len(updated),
                "rows_stale": len(places.keys() - inserted - updated),
                "rows_duplicate": sum(len(of_key) - 1 for of_key in places.values()),
            }
        )
        target |= {key: max(places[key]) for key in inserted | updated}
    return counts


def readable_rows(delivery: Delivery) -> Iterator[tuple[str, dict[str, object]]]:
    """Key and row, with its lineage, of each row that has a key and a time."""
    for record, row in enumerate(csv.DictReader(io.StringIO(delivery.text)), start=1):
        key, updated = row["tracking_num"].strip(), instant(row["last_update_timestamp"])
        if not key or updated is None:
            continue
        yield (
            key,
            {
                **{name: value or None for name, value in row.items()},
                "tracking_num": key,
                "last_update_timestamp": updated,
                "_delivered_at": delivery.delivered_at.astimezone(UTC).replace(tzinfo=None),
                "_source_file": delivery.object,
                "_generation": delivery.generation,
                "_record": record,
            },
        )


def instant(text: str) -> datetime | None:
    """The time that a text says, all being UTC; None if it says none."""
    for time in TIMES:
        try:
            return datetime.strptime(text, time)  # noqa: DTZ007 - all UTC
        except ValueError:
            continue
    return None


def rank(row: dict[str, object]) -> tuple[object, ...]:
    """What decides between two rows of a key."""
    order = ("last_update_timestamp", "_delivered_at", "_generation", "_source_file", "_record")
    return tuple(row[name] for name in order)
