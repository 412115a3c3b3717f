"""Databricks job: stage the files of a batch. `stage.py --manifest URI` prints one INGESTION_RESULT line.

Success is returning and failure is raising: Databricks takes any SystemExit for a failure.
"""

import argparse
import sys
from pathlib import Path

from pyspark.sql import SparkSession

# Databricks executes this file without setting __file__, and from a folder of its own.
sys.path.insert(0, str(Path(sys._getframe().f_code.co_filename).parent))

from ingestion_jobs.results import result_line
from ingestion_jobs.staging import stage


def main() -> None:
    """Run the job with the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Stage the files of a batch.")
    parser.add_argument("--manifest", required=True, help="URI of the batch's manifest")
    arguments = parser.parse_args()
    print(result_line(stage(SparkSession.builder.getOrCreate(), arguments.manifest)))


if __name__ == "__main__":
    main()
