"""What the jobs set in their Spark session, so that the same text is the same value wherever they run."""

from pyspark.sql import SparkSession

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # Else a runtime may read times as Spark 2 did, which takes a prefix for the whole, or fail the batch over one text
    # that the two would read differently. Databricks' default has changed over time.
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
}


def settle(spark: SparkSession) -> None:
    """Give the session these settings; both are among the few that serverless compute lets a job set."""
    for name, value in SETTINGS.items():
        spark.conf.set(name, value)
