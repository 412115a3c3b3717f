"""Pages for people: the list of runs, a run with its tasks, and a task with its command, timings and log."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape

from local.databricks.run import Run, TaskRun
from local.databricks.runs import LogPart
from local.databricks.states import State

LOG_BYTES = 256 * 1024
INDEX_RUNS = 100

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 1.6rem; } a { color: #1b5faa; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem 1.2rem .2rem 0; vertical-align: top; }
th { font-weight: 600; color: #5a6672; white-space: nowrap; }
pre { background: #f5f6f8; padding: 1rem; overflow-x: auto; white-space: pre-wrap; word-break: break-word; }
.SUCCESS { color: #1a7f37; } .CANCELED { color: #9a6700; }
.FAILED, .TIMEDOUT, .INTERNAL_ERROR, .UPSTREAM_FAILED { color: #b42318; }
"""
# Loads the list again while something is under way.
REFRESH = "<meta http-equiv='refresh' content='2'>"
# Appends what the script writes, stays at the end if the reader is there, and loads the page again at a new state.
FOLLOW = """
const log = document.getElementById("log");
let since = Number(log.dataset.end);
async function follow() {
  let wait = 1000;
  try {
    const answer = await fetch(`/runs/${log.dataset.run}/log?since=${since}`);
    if (!answer.ok) throw new Error(answer.status);
    const part = await answer.json();
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
    log.append(part.text);
    since = part.end;
    if (atEnd) scrollTo(0, document.documentElement.scrollHeight);
    if (part.state !== log.dataset.state) { location.reload(); return; }
  } catch { wait = 3000; }  // the service is away: it may come back
  setTimeout(follow, wait);
}
follow();
"""


def _source(text: str) -> str:
    """How a policy names a text that may be applied, or run, as it is."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# Of every answer. What a script prints stands on these pages: no browser runs it, should it ever be more than text.
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_source(STYLE)}; script-src {_source(FOLLOW)}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def index_page(runs: list[Run]) -> str:
    """The newest runs."""
    rows = [
        [
            f"<a href='/runs/{run.run_id}'>{escape(run.request.run_name)}</a>",
            _state(run.state),
            _time(run.started_at),
            _seconds(run.started_at, run.ended_at),
        ]
        for run in runs
    ]
    table = _table(["Run", "State", "Started", "Duration"], rows)
    waits = any(not run.state.over for run in runs)
    return _page("Runs", f"<h1>Runs</h1>{table if runs else '<p>None yet.</p>'}", REFRESH if waits else "")


def run_page(run: Run) -> str:
    """A run of several tasks; each has a page of its own."""
    rows = [
        [
            f"<a href='/runs/{task.run_id}'>{escape(task.key)}</a>",
            _state(task.state),
            escape(", ".join(other.task_key for other in run.submitted(task).depends_on)),
            _time(task.executing_at),
            _seconds(task.executing_at, task.ended_at),
        ]
        for task in run.tasks
    ]
    tasks = _table(["Task", "State", "After", "Started", "Duration"], rows)
    former = [
        [f"<a href='/runs/{task.run_id}'>{escape(task.key)}</a>", _state(task.state), _time(task.executing_at)]
        for task in run.former
    ]
    repaired = f"<h2>Repeated by a repair</h2>{_table(['Task', 'State', 'Started'], former)}" if former else ""
    body = f"{_heading(run)}{_facts(_about_run(run))}<h2>Tasks</h2>{tasks}{repaired}"
    return _page(run.request.run_name, body, "" if run.state.over else REFRESH)


def task_page(run: Run, task: TaskRun, log: LogPart) -> str:
    """One task; the page follows its log until it is over."""
    sent = run.submitted(task)
    program = {
        "Script": escape(sent.spark_python_task.python_file) if sent.spark_python_task else "",
        "Entry point": escape(f"{sent.python_wheel_task.package_name}: {sent.python_wheel_task.entry_point}")
        if sent.python_wheel_task
        else "",
        "Started run": f"<a href='/runs/{task.started_run_id}'>{task.started_run_id}</a>"
        if task.started_run_id
        else "",
    }
    facts = (_about_run(run) if len(run.tasks) == 1 else {"Task": escape(task.key), "State": _state(task.state)}) | {
        "Message": escape(task.state.message),
        **program,
        "Parameters": escape(" ".join(sent.texts if task.parameters is None else task.parameters)),
        "Script began": _time(task.executing_at),
        "Script took": _seconds(task.executing_at, task.ended_at),
        "Task run id": str(task.run_id),
        "Spark session": escape(task.session_id or ""),
    }
    error = f"<h2>Error</h2><pre>{escape(task.error_trace or task.error)}</pre>" if task.error else ""
    note = f"<p>Only the last {LOG_BYTES // 1024} KB.</p>" if log.truncated else ""
    data = f"data-run='{task.run_id}' data-end='{log.end}' data-state='{state_name(task.state)}'"
    output = f"<h2>Log</h2>{note}<pre id='log' {data}>{escape(log.text)}</pre>"
    follow = "" if task.state.over else f"<script>{FOLLOW}</script>"
    return _page(run.request.run_name, f"{_heading(run, task=True)}{_facts(facts)}{error}{output}{follow}")


def state_name(state: State) -> str:
    """The one word for a state."""
    return state.life_cycle if state.life_cycle == "INTERNAL_ERROR" else state.result or state.life_cycle


def _about_run(run: Run) -> dict[str, str]:
    source = run.request.git_source
    facts = {
        "State": _state(run.state),
        "Started": _time(run.started_at),
        "Ended": _time(run.ended_at),
        "Duration": _seconds(run.started_at, run.ended_at),
        "Run id": str(run.run_id),
    }
    if run.job:
        given = (f"{name}={value}" for name, value in run.job.parameters.items() if value)
        facts |= {
            "Job id": str(run.job.job_id),
            "Started by": run.job.trigger,
            "Job parameters": escape(", ".join(given)),
        }
    git = f"{source.git_url} {' '.join(source.refs)} (commit {run.commit or 'not known yet'})" if source else ""
    return facts | ({"Repository": escape(git)} if source else {})


def _heading(run: Run, *, task: bool = False) -> str:
    up = f" / <a href='/runs/{run.run_id}'>All tasks</a>" if task and len(run.tasks) > 1 else ""
    return f"<p><a href='/'>All runs</a>{up}</p><h1>{escape(run.request.run_name)}</h1>"


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in facts.items() if text)
    return f"<table>{rows}</table>"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["".join(f"<th>{name}</th>" for name in head), *("".join(f"<td>{cell}</td>" for cell in r) for r in rows)]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _page(title: str, body: str, head: str = "") -> str:
    head = f"<meta charset='utf-8'>{head}<title>{escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>"


def _state(state: State) -> str:
    return f"<b class='{state_name(state)}'>{state_name(state)}</b>"


def _time(millis: int | None) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if millis else ""


def _seconds(begin: int | None, end: int | None) -> str:
    return f"{(end - begin) / 1000:.1f} s" if begin and end else ""
