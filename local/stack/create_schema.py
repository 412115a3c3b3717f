"""`python -m local.stack.create_schema NAME`: makes the schema of the tables, as an administrator does in the cloud."""

import sys

from pyspark.sql import SparkSession

if __name__ == "__main__":
    SparkSession.builder.getOrCreate().sql(f"CREATE SCHEMA IF NOT EXISTS {sys.argv[1]}")
