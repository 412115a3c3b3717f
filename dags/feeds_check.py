"""Builds no DAG. Raises what is wrong with feed files, so that Airflow shows it as an import error of its own."""

from pathlib import Path

from ingestion.pipeline.feed_check import judge
from ingestion.pipeline.feed_files import FeedError, feed_files

_, problems = judge(feed_files(Path(__file__).parent / "feeds"))
if problems:
    raise FeedError("\n".join(problems))
