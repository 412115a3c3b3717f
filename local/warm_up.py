"""Has the Spark server of SPARK_REMOTE load one row, so that the first file of a person meets a warm one.

`make up` starts `python -m local.warm_up` when the stack runs. The schema of its tables is dropped again.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

from local.one_row import load_one_row

SCHEMA = "warm_up"


def main() -> None:
    """Load the row and forget it, and before that what an interrupted warm-up left."""
    spark = SparkSession.builder.getOrCreate()
    spark.sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    with tempfile.TemporaryDirectory() as folder:
        load_one_row(Path(folder), os.environ["SPARK_REMOTE"], SCHEMA)
    spark.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
