"""What producers choose, names of objects and contents of files, is data: no SQL, no variable, no pattern of files."""

import os

from tests.spark_jobs.conftest import Lake, order

# Spark puts the values of variables into the text of every statement, also within quotes.
ZONE_OF_SESSION = "${spark.sql.session.timeZone}"
HOSTILE = [
    "'; DROP TABLE order_tracking; --",
    "\\'; DROP TABLE order_tracking; --",
    "' OR '1' = '1",
    "`order_tracking`",
    "\\",
    "\\u0027 OR 1 = 1 --",
    "\u2019 OR \u20181\u2019 = \u20181",
    "/* */ -- #",
    ZONE_OF_SESSION,
    "${env:PATH}",
    "${system:user.dir}",
    "{{ params }} %s %(x)s {0} $1",
    "*?[a-z]{b,c}.csv",
    "../../up",
    "%2e%2e%2f",
    "a\x1b[2Jb\x7f",
]


# The least and the greatest key of a batch stand in the text of its MERGE: these in that of theirs.
ENDS = [(HOSTILE[0], HOSTILE[1]), ("${env:PATH}", ZONE_OF_SESSION), (HOSTILE[4],)]


def test_names_and_keys_arrive_as_they_are_and_are_found_again(lake: Lake) -> None:
    """With a row that is quarantined, as names stand in the text of what replaces rows there."""
    no_key = order('""', "no key", "09:00:00")
    first = [
        lake.orders(order(f'"{text}"', "first", "09:00:00"), no_key, generation=n, name=text)
        for n, text in enumerate(HOSTILE, start=1)
    ]
    assert lake.load(*first)["rows_inserted"] == len(HOSTILE)
    for n, texts in enumerate(ENDS, start=100):
        assert list(texts) == sorted(texts)
        files = (
            lake.orders(order(f'"{text}"', "second", "09:00:01"), no_key, generation=n, name=text) for text in texts
        )
        result = lake.load(*files)
        assert (result["rows_inserted"], result["rows_updated"]) == (0, len(texts)), texts
    again = [text for texts in ENDS for text in texts]
    assert lake.target("tracking_num", "status", "_source_file") == [
        (text, "second" if text in again else "first", f"source/{text}") for text in sorted(HOSTILE, key=str.encode)
    ]
    quarantined = {name for (name,) in lake.rows("order_tracking_quarantine", "_source_file")}
    assert quarantined == {f"source/{text}" for text in HOSTILE}
    told = str(lake.spark.sql(f"DESCRIBE HISTORY {lake.schema}.order_tracking").collect())
    assert ZONE_OF_SESSION in told
    assert os.environ["PATH"] not in told
