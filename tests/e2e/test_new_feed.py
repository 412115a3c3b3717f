"""A feed added to a running Airflow by its YAML alone, and one whose YAML is wrong."""

import re
from collections.abc import Iterator

import pytest
from google.cloud.storage import Bucket

from tests.conftest import REPO, Stack
from tests.e2e.clients import ENDED, Airflow, Lakehouse, wait_for
from tests.e2e.story import names

RETURNS = r"""
description: Returned goods, in their latest state.
prefix: returns/
pattern: returns-(?P<date>\d{8})\.txt
columns:
  - name: return_id
  - {name: units, type: bigint}
  - {name: refund, type: "decimal(9,2)"}
  - {name: changed_on, type: date, formats: [dd.MM.yyyy]}
key: [return_id]
order_by: changed_on
csv: {delimiter: ";"}
"""
FILE = """return_id;changed_on;refund;units
r1;01.11.2026;10.50;2
r2;02.11.2026;3.00;1
r1;03.11.2026;12.00;2
r3;bad;1;1
"""


# Of another team, scheduled on the table, as docs/contract.md shows it.
(CONSUMER,) = re.findall(r"```python\n(.*?)```", (REPO / "docs/contract.md").read_text(), re.DOTALL)


@pytest.fixture
def consumer(stack: Stack) -> Iterator[Airflow]:
    """The runs of that DAG, once Airflow knows it."""
    path = stack.dags / "shipment_report.py"
    path.write_text(CONSUMER.replace("main.orders.order_tracking", "orders.returns"))
    client = Airflow(stack.home, "shipment_report")
    wait_for("the DAG that waits for the table", client.exists)
    yield client
    path.unlink()


def test_a_yaml_and_a_file_make_a_dag_and_its_tables_and_start_what_waits_for_them(
    stack: Stack, live_bucket: Bucket, lakehouse: Lakehouse, consumer: Airflow
) -> None:
    (stack.dags / "feeds/returns.yaml").write_text(RETURNS)
    live_bucket.blob("returns/returns-20261103.txt").upload_from_string(FILE)
    wait_for("the file archived", lambda: names(live_bucket, "archive/returns/2026-11-03/"))
    wait_for("a live run waits", Airflow(stack.home, "returns").waiting_run)
    rows = lakehouse.rows("returns", "return_id")
    assert [(row["return_id"], row["units"], str(row["refund"]), row["changed_on"]) for row in rows] == [
        ("r1", 2, "12.00", "2026-11-03"),
        ("r2", 1, "3.00", "2026-11-02"),
    ]
    assert [row["_record"] for row in lakehouse.rows("returns_quarantine")] == [4]
    started = wait_for("the DAG that waits for the table has run", lambda: consumer.newest_run("report", "success"))
    assert list(consumer.returned(started, "report").values()) == [2]


def test_a_wrong_yaml_is_named_in_the_ui_and_the_other_feeds_go_on(stack: Stack, airflow: Airflow) -> None:
    wait_for("a live run waits", airflow.waiting_run)
    wrong = stack.dags / "feeds/refunds.yaml"
    wrong.write_text(RETURNS.replace("key: [return_id]", "key: [refund_id]"))
    try:
        (message,) = wait_for("an import error", airflow.import_errors)
        assert "refunds.yaml: feed: key and order_by name columns of the feed; 'refund_id' is not one" in message
        run = airflow.trigger()
        wait_for("a run of another feed ended", lambda: airflow.state(run) in ENDED)
        assert airflow.state(run) == "success"
    finally:
        wrong.unlink()
    wait_for("no import error", lambda: not airflow.import_errors())
