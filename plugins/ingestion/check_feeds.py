"""The command `airflow ingestion feeds check`: whether feed files are right, before Airflow reads them."""

import argparse
import sys
from pathlib import Path

from airflow import settings

from ingestion.pipeline.feed_check import judge
from ingestion.pipeline.feed_files import feed_files


def check_feeds(args: argparse.Namespace) -> None:
    """Run the command; ends the process with its exit code."""
    folder = Path(settings.DAGS_FOLDER) / "feeds"
    paths = args.file or (feed_files(folder) if folder.is_dir() else [])
    if not paths:
        sys.exit(f"There is no feed file in {folder}: name the files to check, or set AIRFLOW__CORE__DAGS_FOLDER.")
    feeds, problems = judge(paths)
    right = [
        f"{path.name}: ok, {len(feed.columns)} column{'s' * (len(feed.columns) > 1)}, key {', '.join(feed.key)}"
        for path, feed in feeds.items()
    ]
    print(*sorted(right + problems), sep="\n")
    sys.exit(int(bool(problems)))
