"""Each line of docs/reading.md reads a table as the jobs leave it, with rows that were updated since."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import deltalake
import pytest

from tests.conftest import REPO
from tests.spark_jobs.conftest import Lake, order
from tests.uv import environment

PAGE = (REPO / "docs" / "reading.md").read_text()
# The reader is the first word of the paragraph before its line.
LINES = dict(re.findall(r"^([\w-]+)[^\n]*[,:][^\n]*(?:\n[^\n]+)*\n\n```python\n(.*)\n```", PAGE, re.MULTILINE))
# How each is set up, and how its result becomes a list of rows.
SETUP = {
    "Polars": ("import polars", "rows.to_dicts()"),
    "DuckDB": (
        "import duckdb, duckdb_ext\ncon = duckdb_ext.init(duckdb.connect())",
        "rows.to_arrow_table().to_pylist()",
    ),
    "delta-rs": ("import deltalake, pyarrow", "pyarrow.table(rows).to_pylist()"),
}
EXPECTED = [("T1", "delivered"), ("T2", "in transit"), ("T3", "picked up")]


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
    setup, to_rows = SETUP[reader]
    path = updated.tables / "order_tracking"
    assert list(path.glob("deletion_vector_*.bin")), "the second batch has marked the old row"
    program = "\n".join(
        [
            "import json",
            setup,
            f"path = {str(path)!r}",
            LINES[reader],
            f"print(json.dumps([(row['tracking_num'], row['status']) for row in {to_rows}]))",
        ]
    )
    python = environment(Path(__file__).with_name("readers.txt"))
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(map(tuple, json.loads(done.stdout))) == EXPECTED


@pytest.mark.parametrize("method", ["to_pandas", "to_pyarrow_table"])
def test_what_the_page_warns_of_refuses_the_table(updated: Lake, method: str) -> None:
    with pytest.raises(deltalake.exceptions.DeltaProtocolError, match="deletionVectors"):
        getattr(deltalake.DeltaTable(str(updated.tables / "order_tracking")), method)()
