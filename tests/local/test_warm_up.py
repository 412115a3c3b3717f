"""The warm-up of `make up`: it goes through both jobs and leaves nothing."""

import os
import subprocess
import sys

from pyspark.sql import SparkSession

from tests.conftest import REPO, SparkRemote


def test_it_loads_a_row_also_after_an_interrupted_one_and_leaves_no_schema(spark_remote: SparkRemote) -> None:
    spark = SparkSession.builder.remote(spark_remote.remote).create()
    spark.sql("CREATE SCHEMA warm_up")
    # Of an earlier version, say, for which the row had another key: the jobs would refuse it.
    spark.sql("CREATE TABLE warm_up.target (id int) USING delta")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "local.warm_up"],
            cwd=REPO,
            env=os.environ | {"SPARK_REMOTE": spark_remote.remote},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "warm_up" not in {row[0] for row in spark.sql("SHOW SCHEMAS").collect()}
        assert not list(spark_remote.lakehouse.glob("warm_up*"))
    finally:
        spark.stop()
