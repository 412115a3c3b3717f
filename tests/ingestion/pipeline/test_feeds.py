"""The feed definition: what its YAML may say, and what a name means."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from ingestion.pipeline.feed_files import FeedError, feed_files, load_feed
from ingestion.pipeline.feeds import Feed

MINIMAL = {
    "description": "a test",
    "pattern": r"parcels_(?P<date>\d{8})\.csv",
    "columns": [{"name": "id"}, {"name": "at", "type": "timestamp"}, {"name": "fee", "type": "decimal(10, 2)"}],
    "key": ["id"],
    "order_by": "at",
}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def write(folder: Path, content: object) -> Path:
    path = folder / "parcels.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_a_feed_is_named_after_its_file_and_states_what_it_accepts(tmp_path: Path) -> None:
    feed = load_feed(write(tmp_path, MINIMAL))
    assert feed.name == "parcels"
    assert [column.type for column in feed.columns] == ["string", "timestamp", "decimal(10,2)"]
    assert "yyyy-MM-dd HH:mm:ss[.SSSSSS]" in feed.columns[1].formats
    assert feed.columns[0].formats == []


def test_what_a_manifest_freezes_is_read_back_as_the_same_feed(tmp_path: Path) -> None:
    feed = load_feed(write(tmp_path, MINIMAL))
    assert Feed.model_validate_json(feed.model_dump_json()) == feed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "returns"}, "parcels.yaml: name: no setting of a feed, which is named after its file"),
        ({"keys": ["id"]}, "parcels.yaml: keys: Extra inputs are not permitted"),
        ({"key": ["nr"]}, "parcels.yaml: feed: key and order_by name columns of the feed; 'nr' is not one"),
        ({"order_by": "id"}, "parcels.yaml: feed: order_by must be a timestamp or date, id is a string"),
        ({"columns": [{"name": "id", "type": "text"}]}, "parcels.yaml: columns.0.type: unknown type 'text'"),
        ({"columns": [{"name": "id"}, {"name": "ID"}]}, "columns named twice (Delta does not tell case apart): ID, id"),
        ({"columns": [{"name": "id", "formats": ["yyyy"]}]}, "formats are for dates and timestamps, id is a string"),
        (
            {"key": ["id"], "columns": [{"name": "id", "optional": True}, *MINIMAL["columns"][1:]]},
            "id is of the key or order_by, which every file must have: not optional",
        ),
        ({"pattern": "("}, "parcels.yaml: pattern: not a regular expression"),
        ({"description": "x" * 4001}, "parcels.yaml: description: String should have at most 4000 characters"),
        ({"description": "\0"}, "parcels.yaml: description: String should match pattern"),
        ({"time_zone": "Mars/Base"}, "parcels.yaml: time_zone: unknown time zone 'Mars/Base'"),
        ({"key": ["id", "ID"]}, "key names a column twice: ID, id"),
        ({"key": ["id", "id"]}, "parcels.yaml: feed: key names a column twice: id"),
        ({"prefix": "../in/"}, "parcels.yaml: prefix: a folder is not named '.' or '..'"),
        ({"prefix": "./archive/"}, "parcels.yaml: prefix: a folder is not named '.' or '..'"),
        (
            {"prefix": "{{ var.value.secret }}/"},
            "parcels.yaml: prefix: a folder is not named '.' or '..', and has no braces",
        ),
        ({"prefix": "in\x1b/"}, "parcels.yaml: prefix: a folder is not named '.' or '..'"),
        ({"prefix": "archive/in/"}, "parcels.yaml: prefix: archive/in/ is where the pipeline keeps its own files"),
        ({"pattern": r"p_(?P<date>\d{4}_\d{2})\.csv"}, "parcels.yaml: pattern: its group `date` fits no day"),
        (
            {"columns": [*MINIMAL["columns"], {"name": "day", "type": "date", "formats": ["YYYY-MM-DD"]}]},
            "parcels.yaml: columns.3: format 'YYYY-MM-DD': Y stands for nothing that can be read; "
            "as text it is 'YYYY'; did you mean 'yyyy-MM-dd'?",
        ),
        (
            {"columns": [*MINIMAL["columns"], {"name": "day", "type": "date", "formats": ["epoch_seconds"]}]},
            "day is a date, and epoch_seconds tells a time",
        ),
        ({"columns": [*MINIMAL["columns"], {"name": "nr", "header": "id"}]}, "columns with the same header: id"),
        ({"columns": [*MINIMAL["columns"], {"name": "nr", "header": " "}]}, "cannot be told from others"),
        ({"ignore_case": True, "columns": [*MINIMAL["columns"], {"name": "nr", "header": "ID"}]}, "same header: id"),
        ({"csv": {"delimiter": '"'}}, "parcels.yaml: csv: delimiter '\"' is the quote or the escape too"),
        ({"csv": {"delimiter": "\n"}}, "delimiter and quote cannot be a line break or NUL"),
        ({"csv": {"delimiter": "\0"}}, "delimiter and quote cannot be a line break or NUL"),
        ({"csv": {"delimiter": "\u2021", "encoding": "iso-8859-1"}}, "'\u2021' cannot stand in a file in iso8859-1"),
        ({"csv": {"ignore_lines": ["Σύνολο"], "encoding": "cp1252"}}, "'Σύνολο' cannot stand in a file in cp1252"),
        ({"csv": {"delimiter": "||"}}, "csv.delimiter: String should have at most 1 character"),
        ({"csv": {"encoding": "cp037"}}, "parcels.yaml: csv.encoding: cp037 cannot be read"),
        ({"csv": {"encoding": "shift_jis"}}, "parcels.yaml: csv.encoding: shift_jis cannot be read"),
        ({"csv": {"encoding": "latin-11"}}, "parcels.yaml: csv.encoding: unknown encoding 'latin-11'"),
        ({"csv": {"encoding": "cp1252", "multiline": False}}, "multiline: false is for files in utf-8, not cp1252"),
        ({"csv": {"ignore_lines": ["#,"]}}, "ignore_lines: '#,' is compared with the first field"),
        ({"csv": {"quote": "", "escape": "\\"}}, "escape is for a quote in a quoted field, and quote is empty"),
        (
            {"csv": {"header": False}, "columns": [*MINIMAL["columns"], {"name": "nr", "optional": True}]},
            "nr: without a header no column can be told to be absent",
        ),
        ({"thousands_separator": "."}, "id: '.' would part decimals and thousands"),
        ({"limits": {"files": 0}}, "parcels.yaml: limits.files: Input should be greater than 0"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(FeedError) as caught:
        load_feed(write(tmp_path, MINIMAL | change))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name", ["ingestion_log", "ingestion_maintenance", "parcels_staging", "parcels_quarantine", "parcels_erased"]
)
def test_a_feed_cannot_have_the_name_of_another_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    with pytest.raises(FeedError, match=f"{name} is the name of a table of the pipeline"):
        load_feed(path)


def test_a_setting_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump(MINIMAL) + "key: [fee]\n")
    with pytest.raises(FeedError, match=r"(?s)parcels\.yaml: not readable as YAML: .*key stands in it twice"):
        load_feed(path)


def test_both_endings_of_yaml_are_feeds_but_not_of_one_name(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    short = path.rename(path.with_suffix(".yml"))
    (tmp_path / "notes.txt").touch()
    assert feed_files(tmp_path) == [short]
    assert load_feed(short).name == "parcels"
    both = write(tmp_path, MINIMAL)
    with pytest.raises(FeedError, match=r"there is parcels\.yml too"):
        load_feed(both)


def test_what_holds_for_all_columns_holds_for_each_that_does_not_say_otherwise(tmp_path: Path) -> None:
    columns = [*MINIMAL["columns"][:2], MINIMAL["columns"][2] | {"decimal_separator": ".", "nulls": []}]
    feed = load_feed(write(tmp_path, MINIMAL | {"columns": columns, "decimal_separator": ",", "nulls": ["-"]}))
    assert [(column.decimal_separator, column.nulls) for column in feed.columns] == [
        (",", ["-"]),
        (",", ["-"]),
        (".", []),
    ]


@pytest.mark.parametrize("content", ["- a\n- list\n", "key: [unclosed\n"])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(FeedError, match=r"parcels\.yaml: "):
        load_feed(write(tmp_path, content))


@pytest.mark.parametrize(
    ("name", "belongs"),
    [
        ("source/order_tracking_2026_11_20.csv", True),
        ("source/order_tracking_2026_11_20.csv.gz", False),
        ("source/old/order_tracking_2026_11_20.csv", False),
        ("archive/order_tracking_2026_11_20.csv", False),
        ("source/order_tracking_2026_11_20.csv/", False),
        ("source/", False),
        ("source/Order_tracking_2026_11_20.csv", False),
    ],
)
def test_a_name_belongs_to_the_feed_only_as_a_whole(feed: Feed, name: str, belongs: bool) -> None:
    assert bool(feed.match(name)) is belongs


def test_a_file_is_dated_by_its_name(feed: Feed) -> None:
    assert feed.file_date("source/order_tracking_2026_02_28.csv", NOON) == date(2026, 2, 28)


def test_a_date_that_does_not_exist_is_refused(feed: Feed) -> None:
    with pytest.raises(ValueError, match="day is out of range"):
        feed.file_date("source/order_tracking_2026_02_30.csv", NOON)


def test_a_feed_without_dates_in_its_names_takes_the_day_of_delivery(tmp_path: Path) -> None:
    feed = load_feed(write(tmp_path, MINIMAL | {"pattern": r"parcels_\w+\.csv"}))
    assert feed.file_date("source/parcels_x.csv", NOON) == date(2026, 11, 20)
