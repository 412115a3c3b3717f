"""What the jobs set in their Spark session, so that the same text is the same value wherever they run."""

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # Else a runtime may read times as Spark 2 did, which takes a prefix for the whole, or fail the batch over one text
    # that the two would read differently. Databricks' default has changed over time.
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
}


# What serverless compute does not let a job set; there its default holds.
WHERE_ALLOWED = {
    # INT96, Spark's default, counts nanoseconds: other readers see years outside 1678 to 2262 as others.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}


def settle(spark: SparkSession) -> None:
    """Give the session these settings; the first two are among the few that serverless compute lets a job set."""
    for name, value in SETTINGS.items():
        spark.conf.set(name, value)
    for name, value in WHERE_ALLOWED.items():
        try:
            spark.conf.set(name, value)
        except PySparkException as error:
            if "CONFIG_NOT_AVAILABLE" not in str(error):
                raise
