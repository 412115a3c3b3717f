"""`make put FILE=... [AS=name]`: delivers a file to the bucket's `source/`, as a producer would."""

import argparse
import sys
from pathlib import Path

from local.clients import NotRunningError, bucket
from local.stack.home import REPO, Home


def main() -> int:
    """Upload one file. 0 when it is in the bucket."""
    parser = argparse.ArgumentParser(prog="python -m local.put", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--as", dest="name", help="name in the bucket; the file's own if not given")
    parser.add_argument("--home", type=Path, default=REPO / ".local" / "stack", help="folder of the stack")
    arguments = parser.parse_args()
    if not arguments.file.is_file():
        print(f"{arguments.file} is not a file")
        return 1
    name = arguments.name or arguments.file.name
    if {"", ".", ".."} & set(name.split("/")) or not name.isprintable():
        print(f"{name!r} is no name below source/: no part of it may be empty, '.' or '..', nor any letter unseen")
        return 1
    try:
        target = bucket(Home(arguments.home.resolve()))
    except NotRunningError as error:
        print(error)
        return 1
    blob = target.blob(f"source/{name}")
    blob.upload_from_filename(arguments.file)
    print(f"gs://{target.name}/{blob.name}, generation {blob.generation}, {blob.size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
