"""The results as Markdown, with charts beside it, from the JSON document of a run."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.charts import draw
from bench.goals import goals

Document = dict[str, Any]


def write_report(document: Document, out: Path) -> str:
    """Write results.md and the charts into a folder; returns the table of goals and ratios, for the terminal."""
    charts = draw(document, out)
    summary = goals(document)
    parts = [_head(document), summary, *(_case(case, charts.get(case["id"])) for case in document["cases"])]
    if parsed := document.get("dag_parse"):
        parts.append(_dag_parse(parsed))
    (out / "results.md").write_text("\n\n".join(part for part in parts if part) + "\n")
    return summary


def seconds(result: Document) -> list[float]:
    """The whole time of each run."""
    return [sum(run["steps"].values()) for run in result["runs"]]


def _head(document: Document) -> str:
    facts = document["machine"]
    versions = ("java", "pyspark", "delta", "deltalake", "dlt", "polars", "duckdb", "pyarrow", "python")
    conf = " ".join(f"`{name}={value}`" for name, value in document["conf"].items()) or "as `make up` has them"
    label = f", {document['label']}" if document["label"] else ""
    return "\n".join(
        [
            f"# Benchmark results, size {document['size']}{label}",
            "",
            "Written by `make bench`; what it all means is in [README.md](../README.md).",
            "",
            f"- Machine: {facts['cores']} cores ({facts['processor']}), {facts['memory_gb']} GB, {facts['system']}; "
            f"one-minute load before the run {facts['load_before']}",
            f"- Versions: {', '.join(f'{name} {facts[name]}' for name in versions)}; commit {facts['commit']}",
            f"- Spark settings: {conf}",
            f"- {document['seconds']} s in all. Times are medians in seconds, (lowest to highest) beside them.",
        ]
    )


def _case(case: Document, chart: str | None) -> str:
    lines = [f"## {case['id']}: {case['title']}", "", _facts(case["facts"]), ""]
    lines += _table(case)
    lines += ["", *_notes(case)]
    if chart:
        lines += ["", f"![{case['id']}]({chart})"]
    return "\n".join(lines)


def _facts(facts: dict[str, int]) -> str:
    files = "1 file" if facts["files"] == 1 else f"{facts['files']} files"
    text = f"{facts['rows']:,} rows in {files}, {facts['csv_bytes'] / 1e6:.1f} MB of CSV"
    if "own_bytes" in facts:
        text += (
            f" ({facts['own_bytes'] / 1e6:.2f} MB as Parquet); "
            f"target of {facts['target_rows']:,} rows in {facts['target_files']} files"
        )
    return text + "."


def _table(case: Document) -> list[str]:
    merges = "own_bytes" in case["facts"]
    rows = [_row(case, result, merges) for result in case["results"]]
    steps = list(dict.fromkeys(step for result in case["results"] for run in result["runs"] for step in run["steps"]))
    effects = ["files read", "rewritten", "rows copied", "MB written", "versions"] if merges else ["MB/s", "input read"]
    names = ["", "seconds", *(steps if len(steps) > 1 else []), "cpu s", *effects, "content"]
    keys = ["peer", "seconds", *(steps if len(steps) > 1 else []), "cpu", *effects, "content"]
    return [
        f"| {' | '.join(names)} |",
        f"|{'---|' * len(names)}",
        *(f"| {' | '.join(row.get(key, '') for key in keys)} |" for row in rows),
    ]


def _row(case: Document, result: Document, merges: bool) -> dict[str, str]:
    runs = result["runs"]
    failed = result["wrong"].startswith("failed")
    row = {"peer": result["peer"], "content": "**failed**" if failed else "**wrong**" if result["wrong"] else "equal"}
    if not runs:
        return row
    row["seconds"] = spread(seconds(result))
    row |= {step: spread([run["steps"][step] for run in runs if step in run["steps"]]) for step in runs[0]["steps"]}
    if all(run["cpu"] is not None for run in runs):
        row["cpu"] = f"{statistics.median(run['cpu'] for run in runs):.1f}"
    if not merges:
        row["MB/s"] = f"{case['facts']['csv_bytes'] / 1e6 / statistics.median(seconds(result)):.0f}"
        read = [run["input_read"] for run in runs if run["input_read"] is not None]
        row["input read"] = f"{statistics.median(read):.1f} times" if read else ""
    elif effect := result["effect"]:
        read = "not told" if effect["files_read"] is None else effect["files_read"]
        row |= {
            "files read": f"{read} of {effect['files_before']}",
            "rewritten": f"{effect['files_rewritten']}",
            "rows copied": f"{effect['rows_copied']:,}",
            "MB written": f"{effect['bytes_written'] / 1e6:.2f}",
            "versions": f"{effect['versions']}",
        }
    return row


def spread(values: Sequence[float]) -> str:
    """The median, and the lowest and highest where there are several."""
    median = f"{statistics.median(values):.2f}"
    return median if len(values) == 1 else f"{median} ({min(values):.2f} to {max(values):.2f})"


def _notes(case: Document) -> list[str]:
    """Who is wrong and why; who is faster than ours and why."""
    notes = [_wrong(result) for result in case["results"] if result["wrong"]]
    ours = next((result for result in case["results"] if result["peer"] == "ours" and result["runs"]), None)
    if ours is None:
        return notes
    own = statistics.median(seconds(ours))
    for result in case["results"]:
        if result is not ours and result["runs"] and not result["wrong"]:
            other = statistics.median(seconds(result))
            if other < own:
                notes.append(f"- {result['peer']} is {own / other:.1f} times as fast as ours: {result['why']}.")
    return notes


def _wrong(result: Document) -> str:
    failed = result["wrong"].startswith("failed")
    return f"- {result['peer']}: {result['wrong']}" + ("" if failed else f": {result['why']}.")


def _dag_parse(parsed: list[Document]) -> str:
    lines = ["## Parsing the DAGs", "", "| feeds | Airflow's imports | parse | a feed |", "|---|---|---|---|"]
    for row in parsed:
        parse = statistics.median(row["parse"])
        feed = f"{1000 * parse / row['feeds']:.0f} ms"
        lines.append(f"| {row['feeds']} | {spread(row['imports'])} s | {spread(row['parse'])} s | {feed} |")
    return "\n".join(lines)
