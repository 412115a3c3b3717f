"""Pages for people: one run with its state, command, timings and log; and the list of runs."""

from datetime import UTC, datetime
from html import escape

from local.databricks.runs import Run

LOG_BYTES = 256 * 1024
INDEX_RUNS = 100
REFRESH_SECONDS = 2

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
h1 { font-size: 1.3rem; } a { color: #1b5faa; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem 1.2rem .2rem 0; vertical-align: top; }
th { font-weight: 600; color: #5a6672; }
pre { background: #f5f6f8; padding: 1rem; overflow-x: auto; white-space: pre-wrap; word-break: break-word; }
.SUCCESS { color: #1a7f37; } .FAILED, .TIMEDOUT { color: #b42318; } .CANCELED { color: #9a6700; }
"""


def run_page(run: Run, log: str, truncated: bool) -> str:
    """One run; the page loads itself again until the run is over."""
    (task,) = run.tasks
    script = run.request.tasks[0].spark_python_task
    rows = {
        "State": _state(run),
        "Message": escape(task.state.message),
        "Script": escape(script.python_file),
        "Parameters": escape(" ".join(script.parameters)),
        "Started": _time(run.started_at),
        "Ended": _time(run.ended_at),
        "Duration": _duration(run),
        "Run id": f"{run.run_id} (task {escape(task.key)}: {task.run_id})",
        "Spark session": escape(task.session_id or ""),
    }
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
    error = f"<h2>Error</h2><pre>{escape(task.error_trace or task.error)}</pre>" if task.error else ""
    note = f"<p>Only the last {LOG_BYTES // 1024} KB.</p>" if truncated else ""
    body = f"<p><a href='/'>All runs</a></p><h1>{escape(run.request.run_name)}</h1><table>{table}</table>{error}"
    return _page(run.request.run_name, f"{body}<h2>Log</h2>{note}<pre>{escape(log)}</pre>", refresh=not run.state.over)


def index_page(runs: list[Run]) -> str:
    """The newest runs."""
    rows = "".join(
        f"<tr><td><a href='/runs/{run.run_id}'>{escape(run.request.run_name)}</a></td><td>{_state(run)}</td>"
        f"<td>{_time(run.started_at)}</td><td>{_duration(run)}</td></tr>"
        for run in runs
    )
    head = "<tr><th>Run</th><th>State</th><th>Started</th><th>Duration</th></tr>"
    return _page("Runs", f"<h1>Runs</h1><table>{head}{rows}</table>", refresh=any(not run.state.over for run in runs))


def _page(title: str, body: str, *, refresh: bool) -> str:
    again = f"<meta http-equiv='refresh' content='{REFRESH_SECONDS}'>" if refresh else ""
    head = f"<meta charset='utf-8'>{again}<title>{escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>"


def _state(run: Run) -> str:
    state = run.state
    name = state.life_cycle if state.life_cycle == "INTERNAL_ERROR" else state.result or state.life_cycle
    return f"<b class='{state.result or ''}'>{name}</b>"


def _time(millis: int | None) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if millis else ""


def _duration(run: Run) -> str:
    return f"{(run.ended_at - run.started_at) / 1000:.1f} s" if run.ended_at else ""
