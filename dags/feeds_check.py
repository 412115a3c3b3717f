"""Builds no DAG. Raises what is wrong with settings and feeds, so that Airflow shows it once, as one import error."""

import os
from pathlib import Path

from ingestion.pipeline.environments import read_environment
from ingestion.pipeline.feed_check import judge
from ingestion.pipeline.feed_files import FeedError

_, problems = judge(read_environment(Path(__file__).parent, os.environ))
if problems:
    raise FeedError("\n".join(problems))
