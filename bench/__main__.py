"""`python -m bench`: goes on in the benchmarks' own environment, see `bench.cli` for what it takes."""

import os
import sys

from bench.environment import REPO, ensure


def main() -> None:
    """Become the benchmark: its process is the one that was started, so that stopping that stops it."""
    python = ensure()
    # The jobs are measured in place; the stack's own settings would send their sessions elsewhere.
    path = os.pathsep.join(str(folder) for folder in (REPO, REPO / "spark_jobs"))
    unwanted = {"SPARK_REMOTE", "PYTHONHOME"}
    env = {name: value for name, value in os.environ.items() if name not in unwanted} | {"PYTHONPATH": path}
    os.execve(python, [str(python), "-m", "bench.cli", *sys.argv[1:]], env)  # noqa: S606 - this process becomes it


if __name__ == "__main__":
    main()
