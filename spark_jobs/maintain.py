"""Databricks job: keep the tables of feeds small and quick. Prints one INGESTION_RESULT line.

`maintain.py --maintenance-id ID --keep-days N TABLE...`, each target as `schema.table` or `catalog.schema.table`.

Success is returning and failure is raising: Databricks takes any SystemExit for a failure.
"""

import argparse
import sys
from pathlib import Path

from pyspark.sql import SparkSession

# Databricks executes this file without setting __file__, and from a folder of its own.
sys.path.insert(0, str(Path(sys._getframe().f_code.co_filename).parent))

from ingestion_jobs.maintaining import maintain
from ingestion_jobs.results import result_line


def main() -> None:
    """Run the job with the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Keep the tables of feeds small and quick.")
    parser.add_argument("--maintenance-id", required=True, help="what the log calls this maintenance")
    parser.add_argument("--keep-days", required=True, type=int, help="age at which staged rows of a merged batch go")
    parser.add_argument("targets", nargs="*", help="the target table of each feed, with its schema")
    given = parser.parse_args()
    print(
        result_line(maintain(SparkSession.builder.getOrCreate(), given.maintenance_id, given.targets, given.keep_days))
    )


if __name__ == "__main__":
    main()
