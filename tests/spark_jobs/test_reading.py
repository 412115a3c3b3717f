"""Files as rows of text: their text as it was meant, and the place of each record in its file."""

import pytest

from ingestion_jobs import staging
from tests.spark_jobs.conftest import Lake, order


def test_good_text_arrives_unchanged(module_lake: Lake) -> None:
    addresses = {
        "A": ('"two\nlines"', "two\nlines"),
        "B": ('"two\r\nlines"', "two\r\nlines"),
        "C": ('"a ""quoted"" word"', 'a "quoted" word'),
        "D": ('"comma, in it"', "comma, in it"),
        "E": ("ends in \\", "ends in \\"),
        "F": ('"ends in \\"', "ends in \\"),
        "G": ("NULL", "NULL"),
        "H": ("\\N", "\\N"),
        "I": ("00123", "00123"),
        "J": ("1e5", "1e5"),
        "K": ("=1+1", "=1+1"),
        "L": ("  spaces  ", "  spaces  "),
        "M": ('5" pipe', '5" pipe'),
        "N": ('"Big" house', '"Big" house'),
        "O": ("Zürich 東京 🚚", "Zürich 東京 🚚"),
        "P": ('""', None),
        "Q": ('"1, 2, 3, 4, 5, 6, 7\n1, 2, 3, 4, 5, 6, 7"', "1, 2, 3, 4, 5, 6, 7\n1, 2, 3, 4, 5, 6, 7"),
        "R": ('"""The Loft""\nMain St"', '"The Loft"\nMain St'),
        "S": ('"' + "x" * 2_000_000 + '"', "x" * 2_000_000),
        "T": ('"{\n' + '""k"": 1, ' * 20_000 + '}"', "{\n" + '"k": 1, ' * 20_000 + "}"),
    }
    lines = (order(key, "ok", "09:00:00", raw) for key, (raw, _) in addresses.items())

    result = module_lake.stage(module_lake.orders(*lines, generation=1), batch="good-text")

    found = module_lake.rows("order_tracking_staging", "tracking_num, address", where="_batch_id = 'good-text'")
    assert found == [(key, text) for key, (_, text) in addresses.items()]
    assert result["rows_quarantined"] == 0


def test_files_that_share_a_partition_are_numbered_apart(module_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    # As where Spark does not keep to the size of partitions that it is told.
    monkeypatch.setattr(staging, "_FILE_PER_PARTITION", ("spark.sql.files.maxPartitionBytes", "128m"))
    rows = (order("A", "ok", "09:00:00"), order("B", "ok", "09:00:00"))
    files = (module_lake.orders(*rows, generation=n, name=f"{n}.csv") for n in range(1, 9))
    result = module_lake.stage(*files, batch="shared")
    assert (result["rows_read"], result["rows_quarantined"]) == (16, 0)
    columns = "_generation, _record, tracking_num"
    found = module_lake.rows("order_tracking_staging", columns, order_by="1, 2", where="_batch_id = 'shared'")
    assert found == [(n, record, key) for n in range(1, 9) for record, key in ((1, "A"), (2, "B"))]


@pytest.mark.parametrize("files", [1, 2])
def test_records_of_a_large_file_are_numbered_in_order(module_lake: Lake, files: int) -> None:
    lines = [order(f"T{number}", "ok", "09:00:00", f'"line one\n{"x" * 400}"') for number in range(1, 12_001)]
    assert len("".join(lines)) > 5_000_000
    entries = [module_lake.orders(*lines, generation=n, name=f"{n}.csv") for n in range(1, files + 1)]

    result = module_lake.stage(*entries, batch=f"large-{files}")

    assert result["rows_staged"] == 12_000 * files
    wrong = "count(*) FILTER (WHERE tracking_num <> concat('T', _record))"
    of_batch = f"_batch_id = 'large-{files}'"
    found = module_lake.rows("order_tracking_staging", [wrong, "count(DISTINCT _record)"], where=of_batch)
    assert found == [(0, 12_000)]
