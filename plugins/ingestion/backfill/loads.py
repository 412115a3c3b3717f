"""What a run of this package's pipeline has loaded, from what its tasks returned."""

from collections.abc import Mapping
from typing import Any

from ingestion.backfill.days import count

# What is asked of the XComs of a run: (task, key).
XCOMS = (("plan_batch", "files"), ("plan_batch", "rejected"), ("stage", "return_value"), ("merge", "return_value"))
_COUNTS = ("inserted", "updated", "stale", "duplicate")


def loaded(states: Mapping[str, str | None], xcoms: Mapping[tuple[str, str], Any]) -> str:
    """In words; empty for a run of another pipeline. `states` of the tasks tell which XComs are of this time."""
    if states.get("plan_batch") != "success" or not {"stage", "merge", "archive"} <= states.keys():
        return ""
    files, rejected = xcoms.get(("plan_batch", "files"), 0), xcoms.get(("plan_batch", "rejected"), 0)
    parts = [count(files, "file")] if files else []
    counts: dict[str, Any] = {}
    for task in ("stage", "merge"):
        if states[task] == "success":
            counts |= xcoms.get((task, "return_value")) or {}
    if f"rows_{_COUNTS[0]}" in counts:
        parts.append("rows: " + ", ".join(f"{counts.get(f'rows_{name}', 0)} {name}" for name in _COUNTS))
    if counts.get("rows_quarantined"):
        parts.append(f"{counts['rows_quarantined']} quarantined")
    if rejected:
        parts.append(f"{count(rejected, 'file')} rejected")
    return ", ".join(parts) or "nothing to load"
