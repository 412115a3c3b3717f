"""Builds no DAG. Raises what is wrong with a feed file, so that Airflow shows it as an import error of its own."""

from pathlib import Path

from ingestion.pipeline.feed_files import FeedError, feed_files, load_feed

problems = []
for path in feed_files(Path(__file__).parent / "feeds"):
    try:
        load_feed(path)
    except FeedError as error:
        problems.append(str(error))
if problems:
    raise FeedError("\n".join(problems))
