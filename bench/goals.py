"""The goals that the project has set itself, as ratios within one run, and what this run reached of them."""

import statistics
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]


def goals(document: Document) -> str:
    """A table of the goals whose scenarios were run; empty if none was."""
    cases = {case["id"]: case for case in document["cases"]}
    rows = [*_stage_goals(cases), *_merge_goals(cases), *_effect_goals(cases)]
    if not rows:
        return ""
    size = "" if document["size"] == "full" else " The goals are meant for the full size; this run is smaller."
    table = "\n".join(f"| {what} | {goal} | {reached} |" for what, goal, reached in rows)
    return f"## Goals\n\nRatios of medians within this run.{size}\n\n| | goal | here |\n|---|---|---|\n{table}"


def _stage_goals(cases: dict[str, Document]) -> Iterator[tuple[str, str, str]]:
    times = {}
    for id_, case in cases.items():
        ours, bare = _median(case, "ours"), _median(case, "bare Spark")
        if not id_.startswith("S2") or ours is None:
            continue
        times[case["facts"]["rows"], case["facts"]["files"]] = ours
        if bare:
            goal = "1.5" if case["facts"]["rows"] <= 100_000 else "1.3"
            yield f"{case['title']}: ours / bare Spark", f"at most {goal}", f"{ours / bare:.2f}"
    for (rows, files), ours in times.items():
        if files > 1 and (rows, 1) in times:
            yield f"stage {rows:,} rows: {files} files / one", "at most 1.2", f"{ours / times[rows, 1]:.2f}"


def _merge_goals(cases: dict[str, Document]) -> Iterator[tuple[str, str, str]]:
    for id_, goal in (
        ("headline recent", "at most 0.8"),
        ("headline scattered", "at most 0.8"),
        ("S3", ""),
        ("S4", ""),
    ):
        if id_ in cases:
            ours, plain = _median(cases[id_], "ours"), _median(cases[id_], "plain Spark MERGE")
            if ours and plain:
                yield f"{id_}: ours / plain Spark, stage + merge", goal, f"{ours / plain:.2f}"
    if "S6 repeat" in cases and (ours := _median(cases["S6 repeat"], "ours")):
        versions = _result(cases["S6 repeat"], "ours")["effect"]["versions"]
        yield "merge of a merged batch again", "at most 1 s, no new version", f"{ours:.2f} s, {versions} new"


def _effect_goals(cases: dict[str, Document]) -> Iterator[tuple[str, str, str]]:
    if "S3" in cases and (result := _result(cases["S3"], "ours")) and result["effect"]:
        effect = result["effect"]
        files = "?" if effect["files_read"] is None else effect["files_read"]
        read = f"{files} of {effect['files_before']} files read, {effect['rows_copied']} rows copied"
        yield "S3: files read, rows copied", "1 file, 0 rows", read
    for id_ in ("headline scattered", "S4"):
        if id_ in cases and (result := _result(cases[id_], "ours")) and result["effect"]:
            ratio = result["effect"]["bytes_written"] / cases[id_]["facts"]["own_bytes"]
            yield f"{id_}: bytes written / the batch's own", "at most 1.3", f"{ratio:.2f}"


def _result(case: Document, peer: str) -> Document | None:
    return next((result for result in case["results"] if result["peer"] == peer and not result["wrong"]), None)


def _median(case: Document, peer: str) -> float | None:
    result = _result(case, peer)
    if result is None or not result["runs"]:
        return None
    return statistics.median(sum(run["steps"].values()) for run in result["runs"])
