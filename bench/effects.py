"""What a load did to a Delta table, told by the table's log and files alone, so for every engine alike."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The same count by the names of Delta on Spark and of delta-rs.
_ROWS_COPIED = ("numTargetRowsCopied", "num_target_rows_copied")
# Delta on Spark does not write it into its log: Spark's own log names the files.
_FILES_READ = ("num_target_files_scanned",)


@dataclass(frozen=True)
class Effect:
    """`files_read` is None where nobody tells; `bytes_written` are those of data, not of the log."""

    versions: int
    files_before: int
    files_read: int | None
    files_rewritten: int
    rows_copied: int
    bytes_written: int


@dataclass(frozen=True)
class Mark:
    """A table before a load: its version and the files it is made of, or that merely lie there."""

    version: int
    live: int
    files: frozenset[str]


def mark(table: Path, live: int) -> Mark:
    """Remember a table, of which `live` files are in use."""
    return Mark(newest_version(table), live, frozenset(_files(table)))


def effect_since(table: Path, before: Mark) -> Effect:
    """What has happened to the table since."""
    commits = [_commit(table, number) for number in range(before.version + 1, newest_version(table) + 1)]
    metrics = [_metrics(actions) for actions in commits]
    files = _files(table)
    return Effect(
        versions=len(commits),
        files_before=before.live,
        files_read=_largest(metrics),
        files_rewritten=sum(_rewritten(actions) for actions in commits),
        rows_copied=sum(_count(found, _ROWS_COPIED) or 0 for found in metrics),
        bytes_written=sum(size for name, size in files.items() if name not in before.files),
    )


def newest_version(table: Path) -> int:
    """The table's version, -1 if there is no table."""
    return max((int(path.stem) for path in (table / "_delta_log").glob("*.json") if path.stem.isdigit()), default=-1)


def _files(table: Path) -> dict[str, int]:
    """Sizes of data files and deletion vectors, in use or not."""
    paths = [*table.rglob("*.parquet"), *table.rglob("*.bin")]
    return {str(path.relative_to(table)): path.stat().st_size for path in paths if "_delta_log" not in path.parts}


def _commit(table: Path, version: int) -> list[dict[str, Any]]:
    text = (table / "_delta_log" / f"{version:020}.json").read_text()
    return [json.loads(line) for line in text.splitlines() if line]


def _metrics(actions: list[dict[str, Any]]) -> dict[str, Any]:
    info = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    return info.get("operationMetrics") or {}


def _count(metrics: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((int(metrics[name]) for name in names if name in metrics), None)


def _largest(metrics: list[dict[str, Any]]) -> int | None:
    counts = [count for found in metrics if (count := _count(found, _FILES_READ)) is not None]
    return max(counts, default=None if metrics else 0)


def _rewritten(actions: list[dict[str, Any]]) -> int:
    """Files that were taken out and not put back with a deletion vector: those whose rows were written anew."""
    added = {action["add"]["path"] for action in actions if "add" in action}
    return len({action["remove"]["path"] for action in actions if "remove" in action} - added)
