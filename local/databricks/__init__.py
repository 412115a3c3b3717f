"""A stand-in for Databricks Jobs on one machine: the public REST API in front, Spark Connect behind.

It computes what it accepts and refuses the rest by name; it never reports a success that did not happen.
"""
