import json

from ingestion_jobs.results import result_line


def test_a_result_is_one_line_of_json() -> None:
    result = {"step": "stage", "batch_id": "b1", "files": [{"object": "a\nb"}], "reasons": {}}
    line = result_line(result)
    assert "\n" not in line
    assert json.loads(line.removeprefix("INGESTION_RESULT ")) == result


def test_a_long_result_stays_short_enough_to_be_shown() -> None:
    result = {
        "step": "stage",
        "rows_read": 201,
        "files": [{"object": "x" * 1000}] * 201,
        "reasons": {f"column {n}: not a date": n for n in range(1000)},
    }
    kept = json.loads(result_line(result).removeprefix("INGESTION_RESULT "))
    assert kept["rows_read"] == 201
    assert "files" not in kept
    assert list(kept["reasons"])[:2] == ["column 999: not a date", "column 998: not a date"]
    assert len(kept["reasons"]) == 100
