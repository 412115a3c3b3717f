"""One chart for each case: seconds of every peer by step, with the spread; what is wrong is hatched."""

import re
import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_COLOURS = {"start": "#9aa5b1", "stage": "#4c8bb8", "merge": "#e08e45"}


def draw(document: dict[str, Any], out: Path) -> dict[str, str]:
    """Draw the cases into a folder; file names by case."""
    charts = {}
    for case in document["cases"]:
        if not any(result["runs"] for result in case["results"]):
            continue
        name = re.sub(r"\W+", "_", case["id"]).lower() + ".png"
        figure, axes = plt.subplots(figsize=(8, 0.6 + 0.5 * len(case["results"])), layout="constrained")
        _bars(axes, case)
        figure.savefig(out / name, dpi=110)
        plt.close(figure)
        charts[case["id"]] = name
    return charts


def _bars(axes: Axes, case: dict[str, Any]) -> None:
    results = [result for result in case["results"] if result["runs"]]
    steps = list(dict.fromkeys(step for result in results for step in result["runs"][0]["steps"]))
    for place, result in enumerate(results):
        left = 0.0
        for step in steps:
            width = statistics.median(run["steps"].get(step, 0) for run in result["runs"])
            hatch = "///" if result["wrong"] else None
            axes.barh(place, width, left=left, color=_COLOURS[step], hatch=hatch, edgecolor="white")
            left += width
        totals = [sum(run["steps"].values()) for run in result["runs"]]
        middle = statistics.median(totals)
        axes.errorbar(middle, place, xerr=[[middle - min(totals)], [max(totals) - middle]], color="black", capsize=3)
        note = "  wrong" if result["wrong"] else ""
        axes.annotate(
            f"{middle:.2f} s{note}", (max(totals), place), xytext=(6, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(results)), [result["peer"] for result in results])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("seconds, median with lowest and highest")
    axes.set_title(f"{case['id']}: {case['title']}", fontsize=9, loc="left")
    axes.legend([plt.Rectangle((0, 0), 1, 1, color=_COLOURS[step]) for step in steps], steps, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
