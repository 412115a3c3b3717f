"""gs:// of the stack's Spark server (the gcs-connector) against the bucket stand-in."""

import io

import pyarrow.parquet as pq
import pytest
from google.cloud.storage import Bucket
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from tests.local.bucket.test_objects import NAMES, names, put

INPUT = "batches/order_tracking/20261120T101458Z-1f3a9c2b/input/00001.csv"
MANIFEST = "batches/order_tracking/20261120T101458Z-1f3a9c2b/manifest.json"


def lines(spark: SparkSession, bucket: Bucket, *objects: str) -> list[str]:
    return [row.value for row in spark.read.text([f"gs://{bucket.name}/{name}" for name in objects]).collect()]


def test_a_pinned_file_is_read_as_it_was_uploaded(spark: SparkSession, bucket: Bucket) -> None:
    put(bucket, INPUT, 'tracking_num,address\nT1,"1 Main St\nNew York"\nT2,Straße 5\n')
    options = {"header": "true", "multiLine": "true", "escape": '"'}
    rows = spark.read.options(**options).csv([f"gs://{bucket.name}/{INPUT}"]).collect()
    assert [tuple(row) for row in rows] == [("T1", "1 Main St\nNew York"), ("T2", "Straße 5")]


def test_exactly_the_files_asked_for_are_read(spark: SparkSession, bucket: Bucket) -> None:
    other = INPUT.replace("00001", "00002")
    for name in (INPUT, f"{INPUT}.gz", other, MANIFEST):
        put(bucket, name, name)
    assert sorted(lines(spark, bucket, INPUT, other)) == [INPUT, other]


def test_an_overwrite_and_a_delete_are_seen_at_once(spark: SparkSession, bucket: Bucket) -> None:
    for content in ("first", "second, longer"):
        put(bucket, MANIFEST, content)
        assert lines(spark, bucket, MANIFEST) == [content]
    bucket.blob(MANIFEST).delete()
    with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
        lines(spark, bucket, MANIFEST)


@pytest.mark.parametrize("missing", [MANIFEST, "batches/"])
def test_what_is_not_there_is_an_error_not_an_empty_table(spark: SparkSession, bucket: Bucket, missing: str) -> None:
    with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
        lines(spark, bucket, missing)


# Brackets are a pattern to Spark itself, on GCS as well; so are * and ?, which match themselves among others.
@pytest.mark.parametrize("name", [name for name in NAMES if "[" not in name])
def test_a_name_of_any_letters_is_read(spark: SparkSession, bucket: Bucket, name: str) -> None:
    put(bucket, name, name)
    assert lines(spark, bucket, name) == name.splitlines()


def test_an_empty_object_has_no_lines(spark: SparkSession, bucket: Bucket) -> None:
    put(bucket, INPUT, "")
    assert lines(spark, bucket, INPUT) == []


def test_a_prefix_is_read_as_the_folder_of_its_objects(spark: SparkSession, bucket: Bucket) -> None:
    for number in (1, 2):
        put(bucket, f"source/{number}.csv", str(number))
    put(bucket, "sourced/3.csv", "3")
    assert sorted(lines(spark, bucket, "source")) == ["1", "2"]


def test_a_delta_table_is_written_and_other_clients_find_its_rows(spark: SparkSession, bucket: Bucket) -> None:
    table = f"gs://{bucket.name}/tables/numbers"
    for mode in ("error", "append"):
        spark.range(3).coalesce(1).write.format("delta").mode(mode).save(table)
    assert sorted(row.id for row in spark.read.format("delta").load(table).collect()) == [0, 0, 1, 1, 2, 2]
    parts = [blob for blob in bucket.client.list_blobs(bucket) if blob.name.endswith(".parquet")]
    read = [pq.read_table(io.BytesIO(part.download_as_bytes())).column("id").to_pylist() for part in parts]
    assert [sorted(part) for part in read] == [[0, 1, 2], [0, 1, 2]]
    commits = [name for name in names(bucket) if name.endswith(".json")]
    assert commits == [f"tables/numbers/_delta_log/{version:020}.json" for version in (0, 1)]


def test_a_write_that_renames_its_files_fails_and_leaves_nothing(spark: SparkSession, bucket: Bucket) -> None:
    """GCS: objects are moved. Stand-in: answers 400 to the connector's moveTo, so plain Parquet cannot be written."""
    with pytest.raises(PySparkException, match="TASK_WRITE_FAILED"):
        spark.range(3).coalesce(1).write.parquet(f"gs://{bucket.name}/plain")
    assert names(bucket) == []
