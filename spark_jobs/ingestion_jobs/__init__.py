"""The Spark jobs of the pipeline: files of a batch to the staging table, from there into the target, and keys erased.

Imports pyspark, the standard library and itself, nothing else: this folder is all that Databricks checks out. The code
runs unchanged on classic Spark, Spark Connect and Databricks serverless, and uses nothing newer than Spark 4.0.
"""
