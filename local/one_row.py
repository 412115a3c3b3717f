"""A batch of one row through both jobs on a Spark server, for what the server loads and compiles on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
_ROW = "1,2026-01-01 00:00:00\n"


def load_one_row(folder: Path, remote: str, schema: str) -> None:
    """Make the schema and stage and merge the row into tables of it; `folder` takes file and manifest.

    Raises subprocess.CalledProcessError for the step that failed, after its own words on the standard output.
    """
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(_manifest(folder, schema)))
    jobs = [[str(REPO / "spark_jobs" / job), f"--manifest={manifest}"] for job in ("stage.py", "merge.py")]
    for arguments in (["-m", "local.stack.create_schema", schema], *jobs):
        environment = os.environ | {"SPARK_REMOTE": remote}
        subprocess.run([sys.executable, *arguments], cwd=REPO, env=environment, stderr=subprocess.STDOUT, check=True)


def _manifest(folder: Path, schema: str) -> dict[str, Any]:
    columns = [("id", "string", []), ("changed_at", "timestamp", ["yyyy-MM-dd HH:mm:ss"])]
    names = [name for name, _, _ in columns]
    file = folder / "row.csv"
    file.write_text(",".join(names) + "\n" + _ROW)
    return {
        "version": 1,
        "batch_id": "one-row",
        "run_id": "one row",
        "feed": {
            "name": "rows",
            "columns": [{"name": name, "type": type_, "formats": formats} for name, type_, formats in columns],
            "key": ["id"],
            "order_by": "changed_at",
            "time_zone": "UTC",
            "csv": {"delimiter": ",", "multiline": True},
            "max_future_skew_seconds": 86400,
        },
        "tables": {role: f"{schema}.{role}" for role in ("target", "staging", "quarantine", "log")},
        "files": [
            {
                "object": "source/row.csv",
                "generation": 1,
                "date": "2026-01-01",
                "delivered_at": "2026-01-01T00:00:00Z",
                "size": file.stat().st_size,
                "columns": names,
                "input": str(file),
            }
        ],
    }
