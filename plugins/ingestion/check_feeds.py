"""The command `airflow ingestion feeds check`: whether feed files are right, before Airflow reads them."""

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

from airflow import settings

from ingestion.pipeline.environments import ConfiguredFeed, read_environment
from ingestion.pipeline.feed_check import judge
from ingestion.pipeline.feed_files import feed_files


def check_feeds(args: argparse.Namespace) -> None:
    """Run the command; ends the process with its exit code."""
    folder = Path(settings.DAGS_FOLDER) / "feeds"
    paths = args.file or (feed_files(folder) if folder.is_dir() else [])
    if not paths:
        sys.exit(f"There is no feed file in {folder}: name the files to check, or set AIRFLOW__CORE__DAGS_FOLDER.")
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        by_folder[path.resolve().parent.parent].append(path)
    lines: list[str] = []
    all_right = True
    for place, files in by_folder.items():
        feeds, problems = judge(read_environment(place, _variables(), files))
        lines += [_right(feed) for feed in feeds] + problems
        all_right = all_right and not problems
    print(*sorted(lines), sep="\n")
    sys.exit(int(not all_right))


def _variables() -> dict[str, str]:
    """Those of here. A feed can be judged where nobody has said from where the job scripts come."""
    nowhere = {} if os.environ.get("INGESTION_GIT_URL") else {"INGESTION_JOBS": "/nowhere"}
    return {**nowhere, **{name: value for name, value in os.environ.items() if value}}


def _right(configured: ConfiguredFeed) -> str:
    feed = configured.feed
    columns = f"{len(feed.columns)} column{'s' * (len(feed.columns) > 1)}"
    return f"{configured.file.name}: ok, {columns}, key {', '.join(feed.key)}"
