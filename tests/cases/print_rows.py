"""A Databricks job: print all rows of tables as one line, for `tests/cases`. `print_rows.py <schema.table> ...`.

The line is ROWS and, compressed and in base64, JSON: of each table that exists its columns' types and its rows.
Times are microseconds since 1970, as text would depend on the session's time zone; dates and decimals are text.
"""

import base64
import json
import sys
import zlib

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf


def main(tables: list[str]) -> None:
    """Print them."""
    spark = SparkSession.builder.getOrCreate()
    found = {}
    for table in tables:
        if not spark.catalog.tableExists(table):
            continue
        frame = spark.table(table)
        types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
        plain = [
            (sf.unix_micros(sf.col(name)) if type_ == "timestamp" else sf.col(name).cast("string")).alias(name)
            if type_ in ("timestamp", "date") or type_.startswith("decimal")
            else sf.col(name)
            for name, type_ in types.items()
        ]
        found[table] = {"types": types, "rows": [list(row) for row in frame.select(*plain).collect()]}
    print("ROWS", base64.b64encode(zlib.compress(json.dumps(found).encode())).decode())


main(sys.argv[1:])
