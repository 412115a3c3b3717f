"""A load from nothing: Spark's server is started for it, native peers are a new process, `python -m bench.cold`."""

import json
import subprocess
import sys
import time
from pathlib import Path

from bench.data import Batch
from bench.peer import Peer, Seconds


def from_new_process(kind: str, folder: Path, batch: Batch) -> Seconds:
    """Seconds of a load by a native peer whose table stands in `folder`, the start of Python and its imports apart."""
    command = [sys.executable, "-m", "bench.cold", kind, str(folder), *(str(file) for file in batch.files)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{kind} failed: {done.stderr.strip().splitlines()[-1]}")
    steps = json.loads(done.stdout.splitlines()[-1])
    return {"start": seconds - sum(steps.values()), **steps}


def _peer(kind: str, folder: Path) -> Peer:
    # Imported by need: the imports are a part of what is timed.
    if kind == "dlt":
        from bench.dlt_peer import Dlt

        return Dlt(folder)
    from bench.delta_rs import DeltaRs

    return DeltaRs(folder, literal=kind == "literal")


def main() -> None:
    """Load once and print the seconds by step."""
    kind, folder, *files = sys.argv[1:]
    seconds = _peer(kind, Path(folder)).load(Batch("cold", tuple(Path(file) for file in files)))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
