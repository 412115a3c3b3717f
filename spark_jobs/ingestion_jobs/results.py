"""The one line a job prints for Airflow."""

import json
from typing import Any

MARKER = "INGESTION_RESULT"
# Databricks cuts long output off; the tables hold what is left out here.
_MOST_FILES = 200
_MOST_REASONS = 100


def result_line(result: dict[str, Any]) -> str:
    """`INGESTION_RESULT {json}`. `files` is left out of a long result, and only the most frequent reasons are kept.

    Of archived files that hold an erased key the first are kept: what comes after them is found again without them.
    """
    kept = dict(result)
    if len(kept.get("files", ())) > _MOST_FILES:
        del kept["files"]
    if "archived_files" in kept:
        kept["archived_files"] = kept["archived_files"][:_MOST_FILES]
    if reasons := kept.get("reasons"):
        kept["reasons"] = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:_MOST_REASONS])
    return f"{MARKER} {json.dumps(kept)}"
