"""The process that executes one script, as Databricks serverless does: a fork that `process.py` makes.

It waits for its run. The answer has `error` and `error_trace`, both None for a script that returned. The connection
stays open as long as the service lives: when it closes this process kills its own process group, so nothing outlives a
service that was killed.
"""

import builtins
import contextlib
import os
import re
import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable
from functools import partial, wraps
from importlib import metadata
from io import TextIOWrapper
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

# What a script needs for its first query; the imports are most of a client's start.
import pandas  # noqa: F401 - loaded ahead of the script
import pyspark.sql.connect.functions
import pyspark.sql.functions
import pyspark.sql.types
import pyspark.sql.window  # noqa: F401 - loaded ahead of the script
from pyspark.errors import AnalysisException
from pyspark.sql.connect.catalog import Catalog
from pyspark.sql.connect.client import SparkConnectClient
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.proto import ConfigRequest
from pyspark.sql.connect.session import SparkSession

MAX_ERROR_CHARS = 1_000_000
# The properties Databricks documents for serverless notebooks and jobs; all others are refused there, so here too.
# Without spark.databricks.execution.timeout: a plain Spark server would accept and ignore it.
ALLOWED_CONFS = {
    "spark.sql.ansi.enabled",
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.legacy.timeParserPolicy",
    "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions",
}
REFUSED_CALLS = {
    DataFrame: {
        "cache": "PERSIST TABLE",
        "persist": "PERSIST TABLE",
        "checkpoint": "CHECKPOINT",
        "localCheckpoint": "LOCAL CHECKPOINT",
        "createGlobalTempView": "GLOBAL TEMPORARY VIEW",
        "createOrReplaceGlobalTempView": "GLOBAL TEMPORARY VIEW",
    },
    Catalog: {"cacheTable": "CACHE TABLE", "refreshTable": "REFRESH TABLE"},
}
_BEFORE = r"(?is)(?:\s|--[^\n]*\n|/\*.*?\*/)*"
SET_STATEMENT = re.compile(_BEFORE + r"(?:SET\s+`?(?P<key>[^\s=`;]+)`?\s*=|RESET\s+`?(?P<reset>[^\s`;]+))")
REFUSED_STATEMENT = re.compile(
    _BEFORE + r"(?:CREATE\s+(?:OR\s+REPLACE\s+)?)?"
    r"(?P<what>CACHE\s+(?:LAZY\s+)?TABLE|REFRESH\s+TABLE|GLOBAL\s+TEMP(?:ORARY)?\s+VIEW)\b"
)


def main(service: Connection, env: dict[str, str]) -> NoReturn:
    """Wait for a run, carry it out with these environment variables, answer and end."""
    os.setsid()
    _forget_the_service(env)
    try:
        job = service.recv()
    except EOFError:
        os._exit(0)  # the service is gone
    threading.Thread(target=_die_with_service, args=(service,), daemon=True).start()
    _redirect_output(job["log"])
    os.chdir(job["cwd"])
    _behave_like_serverless()
    sys.path[:0] = job["wheels"]
    if job["script"]:
        outcome = run_script(job["script"], job["parameters"])
    else:
        outcome = run_entry_point(job["package"], job["entry_point"], job["parameters"])
    sys.stdout.flush()
    sys.stderr.flush()
    service.send(outcome)
    # No clean-up by the interpreter: a client whose server is gone would retry there for minutes.
    os._exit(0)


def _forget_the_service(env: dict[str, str]) -> None:
    """Leave nothing of the service's environment, path and modules to the script."""
    os.environ.clear()
    os.environ.update(env)
    installed = [Path(prefix) for prefix in (sys.prefix, sys.base_prefix)]
    sys.path[:] = [place for place in sys.path if any(Path(place).is_relative_to(prefix) for prefix in installed)]
    for name in [name for name in sys.modules if name.partition(".")[0] == __name__.partition(".")[0]]:
        del sys.modules[name]


def run_script(script: str, parameters: list[str]) -> dict[str, str | None]:
    """Execute the file `script` with `__name__ == "__main__"`, `sys.argv` set and, as on serverless, no `__file__`.

    Returns the fields `error` and `error_trace`, both None if the script returned. Leaving by any exception is a
    failure, `sys.exit(0)` included.
    """
    sys.argv = [script, *parameters]
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    # The path makes co_filename and tracebacks name the script.
    return _outcome(
        lambda: exec(compile(Path(script).read_bytes(), script, "exec"), module.__dict__)  # noqa: S102 - as Databricks
    )


def run_entry_point(package: str, name: str, parameters: list[str]) -> dict[str, str | None]:
    """Call an entry point of an installed package, or of a wheel on the path, of whatever group it is; as above.

    `sys.argv` begins with the package's name, as the Databricks CLI's own tests show.
    """
    sys.argv = [package, *parameters]

    def call() -> None:
        found = list(metadata.distribution(package).entry_points.select(name=name))
        if not found:
            raise LookupError(f"the package {package} has no entry point {name}")
        found[0].load()()

    return _outcome(call)


def _outcome(work: Callable[[], object]) -> dict[str, str | None]:
    try:
        work()
    except BaseException as error:  # SystemExit and KeyboardInterrupt fail a run like any other
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        trace = "".join(traceback.format_exception(error.with_traceback(_own_frames_cut(error.__traceback__))))
        return {"error": _as_utf8(message)[:MAX_ERROR_CHARS], "error_trace": _as_utf8(trace)[-MAX_ERROR_CHARS:]}
    return {"error": None, "error_trace": None}


def _as_utf8(text: str) -> str:
    """The text without what UTF-8 cannot hold: names of files that are not UTF-8 come as such characters."""
    return text.encode("utf-8", "backslashreplace").decode()


def _own_frames_cut(trace: types.TracebackType | None) -> types.TracebackType | None:
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def _redirect_output(log: str) -> None:
    """Send standard output and error, of this process and its children, to one file in the order they are written."""
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _die_with_service(service: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        service.recv()  # ends when the service has closed its end, which happens only when it is gone
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _behave_like_serverless() -> None:
    """Refuse what serverless compute refuses, with its errors: other session properties, caching, global views."""
    _guard(SparkConnectClient, "config", _check_conf)
    _guard(SparkSession, "sql", _check_sql)
    for owner, calls in REFUSED_CALLS.items():
        for name, what in calls.items():
            _guard(owner, name, partial(_not_supported, what))


def _guard(owner: type, name: str, check: Callable[..., None]) -> None:
    """Have each call of a method checked before it is made."""
    method = getattr(owner, name)

    @wraps(method)
    def guarded(self: object, *args: object, **kwargs: object) -> object:
        check(*args, **kwargs)
        return method(self, *args, **kwargs)

    setattr(owner, name, guarded)


def _check_conf(operation: ConfigRequest.Operation) -> None:
    for key in (*(pair.key for pair in operation.set.pairs), *operation.unset.keys):
        _check_key(key)


def _check_sql(sqlQuery: str, *_: object, **__: object) -> None:  # noqa: N803 - pyspark's name of the argument
    if found := SET_STATEMENT.match(sqlQuery):
        _check_key(found["key"] or found["reset"])
    if found := REFUSED_STATEMENT.match(sqlQuery):
        _not_supported(" ".join(found["what"].upper().split()))


def _check_key(key: str) -> None:
    if key not in ALLOWED_CONFS:
        raise AnalysisException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. SQLSTATE: 42K0I")


def _not_supported(what: str, *_: object, **__: object) -> None:
    raise AnalysisException(
        f"[NOT_SUPPORTED_WITH_SERVERLESS] {what} is not supported on serverless compute. SQLSTATE: 0A000"
    )
