"""The statements of docs/grants.sql are whole, and name tables that there are."""

import re

from ingestion.pipeline.feed_files import load_feed
from ingestion.pipeline.manifest import tables_of
from tests.conftest import REPO

PAGE = (REPO / "docs/grants.sql").read_text()
GRANT = re.compile(
    r"GRANT (?P<privileges>[A-Z, ]+) ON (?P<kind>CATALOG|SCHEMA|TABLE|EXTERNAL LOCATION) (?P<name>[a-z_.]+) "
    r"TO `[a-z-]+`;"
)
# What Unity Catalog has to give on each.
PRIVILEGES = {
    "CATALOG": {"USE CATALOG"},
    "SCHEMA": {"USE SCHEMA", "CREATE TABLE"},
    "TABLE": {"SELECT", "MODIFY"},
    "EXTERNAL LOCATION": {"READ FILES"},
}


def test_each_grant_is_one_that_there_is_on_a_table_that_there_is() -> None:
    tables = tables_of(load_feed(REPO / "dags/feeds/order_tracking.yaml"), "main.orders")
    lines = [line.removeprefix("-- ") for line in PAGE.splitlines() if "GRANT" in line.split(" ")[:2]]
    grants = [GRANT.fullmatch(line) for line in lines]
    assert len(grants) > 10
    assert [line for line, grant in zip(lines, grants, strict=True) if grant is None] == []
    for grant in filter(None, grants):
        assert set(grant["privileges"].split(", ")) <= PRIVILEGES[grant["kind"]], grant[0]
    named = {grant["name"] for grant in grants if grant and grant["kind"] == "TABLE"}
    others = {f"{tables.target}_erased", "main.orders.ingestion_maintenance"}
    assert named == {*tables.model_dump().values(), *others}
    assert set(re.findall(r"main\.orders\.\w+", PAGE)) == named
