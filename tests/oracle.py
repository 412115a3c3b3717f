"""What the target must hold, computed from the raw deliveries in plain Python. Shares no code with the pipeline."""

import csv
import io
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Delivery:
    """One upload: the object's name, the generation the bucket gave it, and its text."""

    object: str
    generation: int
    text: str


def expected_target(deliveries: list[Delivery]) -> dict[str, dict[str, object]]:
    """By tracking_num, the row with the greatest (last_update_timestamp, generation, file, record), with its lineage.

    For well-formed rows with timestamps like 2026-11-20 10:00:00; rows that cannot be read so are left out.
    """
    winners: dict[str, dict[str, object]] = {}
    for delivery in deliveries:
        for record, row in enumerate(csv.DictReader(io.StringIO(delivery.text)), start=1):
            try:
                updated = datetime.strptime(row["last_update_timestamp"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - all UTC
            except ValueError:
                continue
            key = row["tracking_num"].strip()
            if not key:
                continue
            found = {
                **{name: value or None for name, value in row.items()},
                "tracking_num": key,
                "last_update_timestamp": updated,
                "_source_file": delivery.object,
                "_generation": delivery.generation,
                "_record": record,
            }
            if key not in winners or rank(found) > rank(winners[key]):
                winners[key] = found
    return winners


def rank(row: dict[str, object]) -> tuple[object, ...]:
    """What decides between two rows of a key."""
    return tuple(row[name] for name in ("last_update_timestamp", "_generation", "_source_file", "_record"))
