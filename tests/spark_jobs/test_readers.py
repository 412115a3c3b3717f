"""Each line of docs/reading.md reads a table as the jobs leave it: rows that were updated since, and odd values."""

import inspect
import json
import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deltalake
import pytest
from pyspark.sql import SparkSession

from tests.conftest import REPO, SparkRemote
from tests.spark_jobs.conftest import Lake, new_lake, order
from tests.uv import environment

PAGE = (REPO / "docs" / "reading.md").read_text()
# The reader is the first word of the paragraph before its line.
LINES = dict(re.findall(r"^([\w-]+)[^\n]*[,:][^\n]*(?:\n[^\n]+)*\n\n```python\n(.*)\n```", PAGE, re.MULTILINE))
# How each is set up, and how its result becomes a list of rows, each a dictionary.
SETUP = {
    "Polars": ("import polars", "rows.to_dicts()"),
    "DuckDB": (
        "import duckdb, duckdb_ext\ncon = duckdb_ext.init(duckdb.connect())",
        "rows.to_arrow_table().to_pylist()",
    ),
    "delta-rs": ("import deltalake, pyarrow", "pyarrow.table(rows).to_pylist()"),
}
EXPECTED = [("T1", "delivered"), ("T2", "in transit"), ("T3", "picked up")]

# Values that readers are known to show differently, by key and column: as the file says them, and as Python shows them.
EDGES: dict[str, dict[str, tuple[str, str]]] = {
    "first": {
        "at": ("0001-01-01 00:00:00.000000", "0001-01-01 00:00:00"),
        "day": ("0001-01-01", "0001-01-01"),
        "amount": ("-99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999"),
        "ratio": ("5e-324", "5e-324"),
        "number": ("-9223372036854775808", "-9223372036854775808"),
        "short": ("-2147483648", "-2147483648"),
        "flag": ("false", "False"),
        "note": ("", "None"),
    },
    "last": {
        "at": ("9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"),
        "day": ("9999-12-31", "9999-12-31"),
        "amount": ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        "ratio": ("1.7976931348623157e308", "1.7976931348623157e+308"),
        "number": ("9223372036854775807", "9223372036854775807"),
        "short": ("2147483647", "2147483647"),
        "flag": ("true", "True"),
        "note": ('"😀 ""é"", \n\tend"', '😀 "é", \n\tend'),
    },
    # Times as nanoseconds since 1970 in 64 bits, as INT96 and pandas have them, end between these and the next.
    "before 1678": {
        "at": ("1677-09-21 00:12:43.145223", "1677-09-21 00:12:43.145223"),
        "day": ("1582-10-10", "1582-10-10"),  # left out by the Julian calendar, which Spark 2 wrote
        "amount": ("0.000000000000000001", "1E-18"),
        "ratio": ("-0.0", "-0.0"),
        "number": ("9007199254740993", "9007199254740993"),  # the first that a double has not
        "short": ("0", "0"),
        "flag": ("", "None"),
        "note": ("\u00a0 NULL \u200b", "\u00a0 NULL \u200b"),
    },
    "after 2262": {
        "at": ("2262-04-11 23:47:16.854776", "2262-04-11 23:47:16.854776"),
        "day": ("1900-02-28", "1900-02-28"),
        "amount": ("", "None"),
        "ratio": ("0.1", "0.1"),
        "number": ("", "None"),
        "short": ("", "None"),
        "flag": ("true", "True"),
        "note": ("e\u0301", "e\u0301"),  # not the same letters as é
    },
}
TYPES = {
    "at": "timestamp",
    "day": "date",
    "amount": "decimal(38,18)",
    "ratio": "double",
    "number": "bigint",
    "short": "int",
    "flag": "boolean",
    "note": "string",
}
FORMATS = {"at": ["yyyy-MM-dd HH:mm:ss.SSSSSS"], "day": ["yyyy-MM-dd"]}


def as_text(row: dict[str, Any]) -> dict[str, str]:
    """A row as Python shows its values, times in UTC."""
    times = {name: value for name, value in row.items() if isinstance(value, datetime)}
    return {name: str(value) for name, value in row.items()} | {
        name: str(value.astimezone(UTC).replace(tzinfo=None)) for name, value in times.items()
    }


def read_by(reader: str, path: Path) -> list[dict[str, str]]:
    """The rows of a table as a reader without Spark has them, in a process and an environment of its own."""
    setup, to_rows = SETUP[reader]
    program = "\n".join(
        [
            "import json",
            "from datetime import UTC, datetime",
            "from typing import Any",
            setup,
            inspect.getsource(as_text),
            f"path = {str(path)!r}",
            LINES[reader],
            f"print(json.dumps([as_text(row) for row in {to_rows}]))",
        ]
    )
    python = environment(Path(__file__).with_name("readers.txt"))
    # With a zone west of Greenwich the first moment of year 1 would be one of year 0 on the way, which Python has not.
    done = subprocess.run(
        [python, "-c", program], env=os.environ | {"TZ": "UTC"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def updated(module_lake: Lake) -> Lake:
    """A target of three rows, one of them updated by a second batch."""
    module_lake.load(
        module_lake.orders(
            order("T1", "picked up", "10:00:00"), order("T2", "in transit", "10:00:00"), generation=1, name="a.csv"
        )
    )
    module_lake.load(
        module_lake.orders(
            order("T1", "delivered", "11:00:00"), order("T3", "picked up", "10:00:00"), generation=2, name="b.csv"
        )
    )
    return module_lake


def test_the_page_names_these_readers() -> None:
    assert set(LINES) == {"Spark", *SETUP}


def test_spark(updated: Lake) -> None:
    line = LINES["Spark"].replace("orders.order_tracking", f"{updated.schema}.order_tracking")
    names: dict[str, Any] = {"spark": updated.spark}
    exec(line, names)  # noqa: S102 - a line of our own page
    assert sorted((row.tracking_num, row.status) for row in names["rows"].collect()) == EXPECTED


@pytest.mark.parametrize("reader", SETUP)
def test_a_reader_without_spark(updated: Lake, reader: str) -> None:
    path = updated.tables / "order_tracking"
    assert list(path.glob("deletion_vector_*.bin")), "the second batch has marked the old row"
    assert sorted((row["tracking_num"], row["status"]) for row in read_by(reader, path)) == EXPECTED


@pytest.fixture(scope="module")
def edges(spark: SparkSession, spark_remote: SparkRemote, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A target that holds EDGES."""
    lake = new_lake(spark, spark_remote, tmp_path_factory.mktemp("edges"))
    named = {"tracking_num": "string"} | TYPES | {"updated": "timestamp"}
    formats = FORMATS | {"updated": ["yyyy-MM-dd HH:mm:ss"]}
    columns = [{"name": name, "type": type_, "formats": formats.get(name, [])} for name, type_ in named.items()]
    lines = [
        ",".join([key, *(values[name][0] for name in TYPES), "2026-11-20 10:00:00"]) for key, values in EDGES.items()
    ]
    content = "".join(f"{line}\n" for line in [",".join(named), *lines])
    lake.load(lake.deliver(content, generation=1, columns=list(named)), columns=columns, order_by="updated")
    return lake


@pytest.mark.parametrize("reader", LINES)
def test_every_reader_has_the_values_that_the_file_says(edges: Lake, reader: str) -> None:
    if reader == "Spark":
        found = [as_text(row) for row in edges.spark.table(f"{edges.schema}.order_tracking").toArrow().to_pylist()]
    else:
        found = read_by(reader, edges.tables / "order_tracking")
    values = {row["tracking_num"]: {name: row[name] for name in TYPES} for row in found}
    assert values == {key: {name: shown for name, (_, shown) in row.items()} for key, row in EDGES.items()}


@pytest.mark.parametrize("method", ["to_pandas", "to_pyarrow_table"])
def test_what_the_page_warns_of_refuses_the_table(updated: Lake, method: str) -> None:
    with pytest.raises(deltalake.exceptions.DeltaProtocolError, match="deletionVectors"):
        getattr(deltalake.DeltaTable(str(updated.tables / "order_tracking")), method)()
