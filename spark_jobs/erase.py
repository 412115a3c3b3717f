"""Databricks job: erase some keys from the tables of a feed. `erase.py --request URI` prints one INGESTION_RESULT line.

Success is returning and failure is raising: Databricks takes any SystemExit for a failure.
"""

import argparse
import sys
from pathlib import Path

from pyspark.sql import SparkSession

# Databricks executes this file without setting __file__, and from a folder of its own.
sys.path.insert(0, str(Path(sys._getframe().f_code.co_filename).parent))

from ingestion_jobs.erasing import erase
from ingestion_jobs.results import result_line


def main() -> None:
    """Run the job with the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Erase the keys of a request from the tables of a feed.")
    parser.add_argument("--request", required=True, help="URI of the request, which names the list of keys")
    arguments = parser.parse_args()
    print(result_line(erase(SparkSession.builder.getOrCreate(), arguments.request)))


if __name__ == "__main__":
    main()
