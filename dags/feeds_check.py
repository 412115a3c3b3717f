"""Builds no DAG. Raises what is wrong with a feed file, so that Airflow shows it as an import error of its own."""

from pathlib import Path

from ingestion.pipeline.feed_files import FeedError, feed_files, load_feeds

_, problems = load_feeds(feed_files(Path(__file__).parent / "feeds"))
if problems:
    raise FeedError("\n".join(problems))
