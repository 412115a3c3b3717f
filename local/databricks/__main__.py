"""Start the service: `python -m local.databricks --port P --home DIR --workspace DIR --spark-remote sc://127.0.0.1:PORT`."""

import argparse
import logging
import os
from pathlib import Path

import uvicorn

from local.databricks.api import create_app
from local.databricks.engine import Engine
from local.databricks.jobs import JobStore
from local.databricks.runs import RunStore
from local.databricks.service import JobsService

TOKEN_VARIABLE = "DATABRICKS_TOKEN"  # noqa: S105 - the name of the variable, not its value


def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser(description="A local stand-in for Databricks Jobs.")
    parser.add_argument("--interface", default="127.0.0.1", help="the interface to listen on")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="the name by which clients reach it")
    parser.add_argument("--url", help="as a browser reaches it, if not http://127.0.0.1:PORT")
    parser.add_argument("--home", type=Path, required=True, help="folder for runs and their logs")
    parser.add_argument("--workspace", type=Path, required=True, help="folder that /Workspace/ stands for")
    parser.add_argument("--spark-remote", required=True, help="the Spark Connect server, like sc://127.0.0.1:15002")
    options = parser.parse_args()
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        parser.error(f"the environment variable {TOKEN_VARIABLE} must hold the bearer token that clients will send")
    try:
        engine = Engine(options.spark_remote)
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    home, workspace = options.home.resolve(), options.workspace.absolute()
    service = JobsService(RunStore(home), JobStore(home), engine, workspace, home / "scratch")
    app = create_app(service, token, options.url or f"http://127.0.0.1:{options.port}", options.host)
    uvicorn.run(app, host=options.interface, port=options.port, log_level="warning", timeout_graceful_shutdown=2)


if __name__ == "__main__":
    main()
