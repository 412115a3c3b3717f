"""`make show`: what is in the tables and in the bucket, in a terminal."""

import argparse
import re
import sys
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from google.cloud.storage import Blob
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.clients import NotRunningError, bucket, rows, tables
from local.stack.home import REPO, Home

LOG = "ingestion_log"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
COUNTS = ("read", "staged", "quarantined", "inserted", "updated", "stale", "duplicate")


def main() -> int:
    """Show everything. 0 when there was a stack to look at."""
    parser = argparse.ArgumentParser(prog="python -m local.show", description=__doc__)
    parser.add_argument("--rows", type=int, default=20, help="at most this many rows of each table")
    parser.add_argument("--home", type=Path, default=REPO / ".local" / "stack", help="folder of the stack")
    arguments = parser.parse_args()
    try:
        show(Home(arguments.home.resolve()), console(), arguments.rows)
    except NotRunningError as error:
        print(error)
        return 1
    return 0


def console() -> Console:
    """A terminal as wide as it is; a file or pipe is taken to be wide enough for the tables."""
    return Console(width=None if sys.stdout.isatty() else 120)


def show(home: Home, console: Console, limit: int) -> None:
    """Print targets, quarantines, the log of batches, and the objects of the bucket."""
    blobs = list(bucket(home).list_blobs())
    found = tables(home)
    targets = [name for name in found if f"{name}_staging" in found]
    for name in targets:
        show_target(console, name, *rows(found[name], "1, 2", limit), limit)
    for name in found:
        if name.endswith("_quarantine"):
            show_quarantine(console, name, *rows(found[name], "_source_file, _generation, _record", limit), limit)
    if LOG in found:
        show_batches(console, *rows(found[LOG], "merged_at DESC, batch_id, object", limit), limit)
    if not targets:
        console.print("no tables yet: deliver a file with `make put FILE=...`")
    show_objects(console, blobs, limit)


def show_target(console: Console, name: str, content: list[dict[str, Any]], count: int, limit: int) -> None:
    """The rows, with file and record each came from."""
    business = [column for column in (content[0] if content else {}) if not column.startswith("_")]
    table = _table(f"{name}: {_rows(count, limit)}")
    for column in business:
        longest = max(len(row[column]) if isinstance(row[column], str) else 0 for row in content)
        # Long names break at their underscores, long texts at their spaces; all else stays in one piece.
        table.add_column(column.replace("_", "_\n"), no_wrap=longest < 16, overflow="fold")
    table.add_column("from", no_wrap=True)
    for row in content:
        table.add_row(*(_text(row[column]) for column in business), _origin(row, name))
    _print(console, table)


def show_quarantine(console: Console, name: str, content: list[dict[str, Any]], count: int, limit: int) -> None:
    """The rows that could not be loaded, and why."""
    table = _table(f"{name}: {_rows(count, limit)}", "from", "reasons", "raw")
    for row in content:
        reasons = "\n".join(row["reasons"] or [])
        table.add_row(_origin(row, name.removesuffix("_quarantine")), _text(reasons), _text(row["raw"]))
    _print(console, table)


def show_batches(console: Console, content: list[dict[str, Any]], count: int, limit: int) -> None:
    """The counts of each merged file and batch."""
    table = _table(f"{LOG}: {_rows(count, limit)}", "batch", "file", *COUNTS)
    for row in content:
        file = _file(row["object"], row["feed"]) if row["object"] else "(whole batch)"
        table.add_row(row["batch_id"], _text(file), *(_text(row[f"rows_{count}"]) for count in COUNTS))
    _print(console, table)


def show_objects(console: Console, blobs: Iterable[Blob], limit: int) -> None:
    """The objects, folder by folder."""
    ordered = sorted(blobs, key=lambda blob: blob.name)
    groups = {top: list(group) for top, group in groupby(ordered, key=lambda blob: blob.name.split("/")[0])}
    table = _table("bucket", "object", "bytes", "created")
    for top in ("source", "rejected", "archive", "batches"):
        group = groups.get(top, [])
        if not group:
            table.add_row(f"[dim]{top}/ is empty[/]", "", "")
        for blob in group[:limit]:
            table.add_row(_text(blob.name), _text(blob.size), _text(blob.time_created))
        if len(group) > limit:
            table.add_row(f"[dim]and {len(group) - limit} more in {top}/[/]", "", "")
    _print(console, table)


def _print(console: Console, table: Table) -> None:
    """The title apart from its table, which may be narrower."""
    title, table.title = table.title, None
    console.print(title, style="bold", highlight=False)
    if table.row_count:
        console.print(table)
    console.print()


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, header_style="dim", box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in (*COUNTS, "bytes") else "left",
            no_wrap=column not in ("raw", "object", "reasons"),
            overflow="fold",
        )
    return table


def _rows(count: int, limit: int) -> str:
    return f"{count} rows" if count <= limit else f"the first {limit} of {count} rows"


def _origin(row: dict[str, Any], feed: str) -> Text:
    return _text(f"{_file(row['_source_file'], feed)}:{row['_record']}")


def _file(name: str, feed: str) -> str:
    """A file's name without what all files of its feed have in common."""
    return name.rsplit("/", 1)[-1].removeprefix(f"{feed}_").removesuffix(".csv")


def _text(value: object) -> Text:
    """As it is: brackets in data are no markup, and control characters no orders to the terminal."""
    if value is None:
        return Text()
    return Text(f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else without_control(str(value)))


def without_control(text: str) -> str:
    """The text with control characters, but line ends and tabs, as they are written: \\x1b."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


if __name__ == "__main__":
    sys.exit(main())
