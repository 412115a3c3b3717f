"""Databricks job: look whether the jobs can do here what they must; prints one INGESTION_RESULT line.

`check.py --check-id ID --schema NAME [--probe URI]`

Success is returning and failure is raising: Databricks takes any SystemExit for a failure.
"""

import argparse
import sys
from pathlib import Path

from pyspark.sql import SparkSession

# Databricks executes this file without setting __file__, and from a folder of its own.
sys.path.insert(0, str(Path(sys._getframe().f_code.co_filename).parent))

from ingestion_jobs.checking import check
from ingestion_jobs.results import result_line


def main() -> None:
    """Run the job with the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Look whether the jobs can do here what they must.")
    parser.add_argument("--check-id", required=True, help="names this check, in its result and in the table it makes")
    parser.add_argument("--schema", required=True, help="schema of the tables")
    parser.add_argument("--probe", help="URI of an object under batches/ that holds the id")
    arguments = parser.parse_args()
    spark = SparkSession.builder.getOrCreate()
    print(result_line(check(spark, arguments.check_id, arguments.schema, arguments.probe)))


if __name__ == "__main__":
    main()
