"""Several runs side by side: `python -m bench.compare a/results.json b/results.json ...`. Standard library only.

To judge a setting: run the same scenarios with and without it, on a quiet machine, and look also at how far the peers
moved, which shows what the hour did.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Print a Markdown table of medians: a row for each case and peer, a column for each run."""
    runs = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    names = [run["label"] or Path(name).parent.name for run, name in zip(runs, sys.argv[1:], strict=True)]
    tables = [dict(_medians(run)) for run in runs]
    print(f"| case | peer | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}")
    for case, peer in dict.fromkeys(key for table in tables for key in table):
        print(f"| {case} | {peer} | {' | '.join(table.get((case, peer), '') for table in tables)} |")


def _medians(run: dict[str, Any]) -> list[tuple[tuple[str, str], str]]:
    found = []
    for case in run["cases"]:
        for result in case["results"]:
            if result["wrong"] or not result["runs"]:
                text = "failed" if result["wrong"].startswith("failed") else "wrong"
            else:
                text = f"{statistics.median(sum(of['steps'].values()) for of in result['runs']):.2f}"
                steps = {step: statistics.median(of["steps"][step] for of in result["runs"]) for step in _steps(result)}
                if len(steps) > 1:
                    text += f" ({', '.join(f'{step} {seconds:.2f}' for step, seconds in steps.items())})"
            found.append(((case["id"], result["peer"]), text))
    return found


def _steps(result: dict[str, Any]) -> list[str]:
    return list(result["runs"][0]["steps"])


if __name__ == "__main__":
    main()
