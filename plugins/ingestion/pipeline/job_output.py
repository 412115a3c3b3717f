"""What a job tells Airflow: a line `INGESTION_RESULT {json}` among all that it has printed."""

import json
import re
from typing import Any

_RESULT = re.compile(r"^INGESTION_RESULT (\{.*\})\s*$", re.MULTILINE)


def results_of(batch_id: str, logs: str) -> list[dict[str, Any]]:
    """The results of this batch in the output of its run, the last one last. Raises ValueError for broken JSON.

    Logs of runs side by side may be mixed on serverless, so that they hold results of others.
    """
    results = [json.loads(text) for text in _RESULT.findall(logs)]
    return [result for result in results if result.get("batch_id") == batch_id]
