"""What is left when all is calm, compared with what was delivered: the oracle's target, and every file in its place."""

import re
from collections import Counter
from dataclasses import dataclass, field

from google.cloud.storage import Bucket

from tests.e2e.clients import Lakehouse
from tests.e2e.jobs import Jobs
from tests.e2e.story import archived_name, names, pinned
from tests.oracle import Delivery, expected_target, readable_rows

GENERATION = re.compile(r"\.(\d+)\.csv$")


@dataclass
class Verdict:
    """What was compared, and whatever is not as it should be."""

    archived: int = 0
    rejected: int = 0
    replaced_unread: int = 0
    rows_compared: int = 0
    quarantined: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)


def judge(bucket: Bucket, lakehouse: Lakehouse, jobs: Jobs, made: list[Delivery]) -> Verdict:
    """Compare. `made` is every delivery to a bucket and tables that held nothing before."""
    verdict = Verdict()
    loaded = _judge_files(bucket, made, verdict)
    _judge_target(lakehouse, loaded, verdict)
    _judge_quarantine(lakehouse, loaded, verdict)
    verdict.wrong += [f"{name} is still there" for name in (*names(bucket, "source/"), *pinned(bucket))]
    verdict.wrong += [f"Databricks run {run['run_name']} still goes on" for run in jobs.active()]
    return verdict


def _judge_files(bucket: Bucket, made: list[Delivery], verdict: Verdict) -> list[Delivery]:
    """Each delivery is once in `archive/`, of which it is returned, or in `rejected/`, or was replaced unread."""
    found = Counter(names(bucket, "archive/order_tracking/") + names(bucket, "rejected/order_tracking/"))
    places = Counter(match[1] for name in found if (match := GENERATION.search(name)))
    last = {delivery.object: delivery.generation for delivery in made}
    loaded = []
    for delivery in made:
        place, times = archived_name(delivery), places[str(delivery.generation)]
        if place in found:
            loaded.append(delivery)
            if bucket.blob(place).download_as_text() != delivery.text:
                verdict.wrong.append(f"{place} is not what was delivered")
        if times == 0 and last[delivery.object] != delivery.generation:
            verdict.replaced_unread += 1
        elif times != 1:
            verdict.wrong.append(f"{delivery.object} generation {delivery.generation} is filed {times} times")
    verdict.archived, verdict.rejected = len(loaded), sum(places.values()) - len(loaded)
    if strangers := places.keys() - {str(delivery.generation) for delivery in made}:
        verdict.wrong.append(f"generations that nobody delivered: {sorted(strangers)}")
    return loaded


def _judge_target(lakehouse: Lakehouse, loaded: list[Delivery], verdict: Verdict) -> None:
    rows = lakehouse.rows("order_tracking")
    target, expected = {row["tracking_num"]: row for row in rows}, expected_target(loaded)
    verdict.rows_compared = len(expected)
    verdict.doubled = len(rows) - len(target)
    verdict.lost = len(expected.keys() - target.keys())
    verdict.wrong += [f"row {key} is nobody's" for key in sorted(target.keys() - expected.keys())]
    verdict.wrong += [f"row {key} is not the newest" for key in sorted(target) if target[key] != expected.get(key)]


def _judge_quarantine(lakehouse: Lakehouse, loaded: list[Delivery], verdict: Verdict) -> None:
    expected = {
        (delivery.object, delivery.generation, record)
        for delivery in loaded
        for record in set(range(1, delivery.text.count("\n"))) - {row["_record"] for _, row in readable_rows(delivery)}
    }
    rows = [
        (row["_source_file"], row["_generation"], row["_record"]) for row in lakehouse.rows("order_tracking_quarantine")
    ]
    verdict.quarantined = len(rows)
    if sorted(rows) != sorted(expected):
        verdict.wrong.append(f"{len(rows)} rows are quarantined, {len(expected)} are bad")
