"""How scripts are executed, as on Databricks serverless, and what becomes of their output."""

import json
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.conftest import SparkRemote
from tests.local.databricks.harness import Service, payload, wait_for

FAILED = "Workload failed, see run output for details"


def test_a_script_writes_a_delta_table_another_reader_reads(service: Service, spark_remote: SparkRemote) -> None:
    state, output = service.run(
        """
        from pyspark.sql import SparkSession

        spark = SparkSession.builder.getOrCreate()
        spark.createDataFrame([(1, "a"), (2, "b")], "id int, name string").write.format("delta").saveAsTable("by_a_run")
        print("rows written:", spark.table("by_a_run").count())
        """
    )
    assert (state["life_cycle_state"], state["result_state"]) == ("TERMINATED", "SUCCESS"), output
    assert output["logs"] == "rows written: 2\n"
    assert "error" not in output
    rows = DeltaTable(str(spark_remote.lakehouse / "by_a_run")).to_pyarrow_table().sort_by("id").to_pylist()
    assert rows == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


def test_a_script_finds_what_databricks_gives_it_and_no_more(service: Service) -> None:
    state, output = service.run(
        """
        import json, os, sys
        from pathlib import Path

        print(json.dumps({
            "argv": sys.argv,
            "name": __name__,
            "file": "__file__" in globals(),
            "source": sys._getframe().f_code.co_filename,
            "cwd": os.getcwd(),
            "path": sys.path,
            "env": sorted(os.environ),
            "main": sys.modules["__main__"].__dict__ is globals(),
            "stdin": sys.stdin.read(),
        }))
        """,
        "--manifest",
        "gs://b/a b.json",
    )
    assert state["result_state"] == "SUCCESS", output
    seen = json.loads(output["logs"])
    script = seen["source"]
    assert Path(script).parent == service.folder / "workspace" / "Shared"
    assert seen["argv"] == [script, "--manifest", "gs://b/a b.json"]
    assert (seen["name"], seen["main"], seen["file"], seen["stdin"]) == ("__main__", True, False, "")
    assert seen["cwd"] not in (str(Path(script).parent), str(Path.cwd()))
    assert str(Path(script).parent) not in seen["path"]
    assert not [name for name in seen["env"] if name.startswith(("DATABRICKS", "AIRFLOW", "INGESTION", "PYTHON"))]


def test_a_script_that_prints_nothing_succeeds(service: Service) -> None:
    state, output = service.run("x = 1")
    assert (state["result_state"], output["logs"], output["logs_truncated"]) == ("SUCCESS", "", False)


def test_an_exception_fails_the_run_with_its_line_and_traceback(service: Service) -> None:
    state, output = service.run(
        """
        def load():
            raise ValueError("record 7: no tracking_num")

        print("before")
        load()
        """
    )
    assert (state["life_cycle_state"], state["result_state"]) == ("TERMINATED", "FAILED")
    assert state["state_message"].startswith(f"Task step failed with message: {FAILED}.")
    assert output["metadata"]["state"]["state_message"] == FAILED
    assert output["error"] == "ValueError: record 7: no tracking_num"
    trace = output["error_trace"].splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == output["error"]
    assert "runner.py" not in output["error_trace"]
    assert 'raise ValueError("record 7: no tracking_num")' in output["error_trace"]
    assert output["logs"] == "before\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("raise SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("input()", "EOFError: EOF when reading a line"),
        ("spark", "NameError: name 'spark' is not defined"),
    ],
)
def test_leaving_by_any_exception_fails(service: Service, text: str, error: str) -> None:
    state, output = service.run(text)
    assert state["result_state"] == "FAILED"
    assert output["error"].startswith(error)


def test_a_process_that_dies_is_an_internal_error(service: Service) -> None:
    state, output = service.run("import os; print('bye', flush=True); os._exit(3)")
    assert (state["life_cycle_state"], state["result_state"]) == ("INTERNAL_ERROR", "FAILED")
    assert output["error"] == "the Python process ended without a result (exit code 3)"
    assert output["logs"] == "bye\n"


def test_a_process_that_dies_is_not_waited_for_because_a_child_of_it_lives(service: Service) -> None:
    state, output = service.run(
        """
        import os, time

        if os.fork() == 0:
            time.sleep(1000)
        os._exit(3)
        """
    )
    assert state["life_cycle_state"] == "INTERNAL_ERROR"
    assert output["error"] == "the Python process ended without a result (exit code 3)"


def test_a_missing_script_is_named(service: Service) -> None:
    run_id = service.submit(payload("/Workspace/Shared/nowhere.py"))
    assert service.finished(run_id)["life_cycle_state"] == "INTERNAL_ERROR"
    assert "Cannot read the python file /Workspace/Shared/nowhere.py" in service.output(run_id)["error"]


def test_output_keeps_the_order_of_both_streams_and_of_child_processes(service: Service) -> None:
    _, output = service.run(
        """
        import subprocess, sys

        print("one")
        print("two", file=sys.stderr)
        subprocess.run(["echo", "three"], check=True)
        print("four \\udcff \\u00e9")
        """
    )
    assert output["logs"] == "one\ntwo\nthree\nfour \\udcff \u00e9\n"


def test_only_the_last_5_mb_of_the_output_are_returned(service: Service) -> None:
    state, output = service.run("print('first'); print('x' * 6_000_000); print('last')")
    assert state["result_state"] == "SUCCESS"
    assert output["logs_truncated"] is True
    assert len(output["logs"]) == 5 * 1024 * 1024
    assert output["logs"].endswith("x\nlast\n")


def test_an_error_that_is_not_utf8_is_still_a_failure_that_can_be_read(service: Service) -> None:
    state, output = service.run("import os; raise ValueError(os.fsdecode(b'caf\\xe9.csv'))")
    assert state["result_state"] == "FAILED"
    assert output["error"] == "ValueError: caf\\udce9.csv"


def test_a_large_error_is_returned(service: Service) -> None:
    _, output = service.run("raise ValueError('x' * 3_000_000)")
    assert output["error"].startswith("ValueError: xxx")
    assert 500_000 < len(output["error"]) <= 1_000_000


def test_confs_serverless_documents_may_be_set(service: Service) -> None:
    _, output = service.run(
        """
        from pyspark.sql import SparkSession

        spark = SparkSession.builder.config("spark.sql.session.timeZone", "Europe/Berlin").getOrCreate()
        print(spark.sql("select timestamp'2026-07-01 00:00:00Z'::string").first()[0])
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        print(spark.sql("select timestamp'2026-07-01 00:00:00Z'::string").first()[0])
        spark.sql("SET spark.sql.session.timeZone = America/New_York")
        print(spark.sql("select timestamp'2026-07-01 00:00:00Z'::string").first()[0])
        spark.sql("SET TIME ZONE 'UTC'")
        spark.sql("DECLARE VARIABLE answer INT")
        spark.sql("SET VAR answer = 42")
        print(spark.sql("select answer").first()[0], spark.conf.get("spark.sql.session.timeZone"))
        """
    )
    assert output["logs"] == "2026-07-01 02:00:00\n2026-07-01 00:00:00\n2026-06-30 20:00:00\n42 UTC\n", output


AUTO_MERGE = "spark.databricks.delta.schema.autoMerge.enabled"
NOT_AVAILABLE = f"[CONFIG_NOT_AVAILABLE] Configuration {AUTO_MERGE} is not available. SQLSTATE: 42K0I"


def not_supported(what: str) -> str:
    return f"[NOT_SUPPORTED_WITH_SERVERLESS] {what} is not supported on serverless compute. SQLSTATE: 0A000"


REFUSED = {
    f"spark.conf.set('{AUTO_MERGE}', 'true')": NOT_AVAILABLE,
    f"spark.conf.unset('{AUTO_MERGE}')": NOT_AVAILABLE,
    f"SparkSession.builder.config('{AUTO_MERGE}', 'true').getOrCreate()": NOT_AVAILABLE,
    f"spark.sql('set {AUTO_MERGE}=true')": NOT_AVAILABLE,
    f"spark.sql('/* why */ -- not\\n SET `{AUTO_MERGE}` = true')": NOT_AVAILABLE,
    f"spark.sql(sqlQuery='RESET {AUTO_MERGE}')": NOT_AVAILABLE,
    "spark.sql('SET spark.a-b=1')": NOT_AVAILABLE.replace(AUTO_MERGE, "spark.a-b"),
    "spark.range(1).cache()": not_supported("PERSIST TABLE"),
    "spark.range(1).persist()": not_supported("PERSIST TABLE"),
    "spark.range(1).localCheckpoint()": not_supported("LOCAL CHECKPOINT"),
    "spark.range(1).createGlobalTempView('v')": not_supported("GLOBAL TEMPORARY VIEW"),
    "spark.sql('CREATE OR REPLACE GLOBAL TEMP VIEW v AS SELECT 1')": not_supported("GLOBAL TEMP VIEW"),
    "spark.sql('cache table t')": not_supported("CACHE TABLE"),
    "spark.sql('REFRESH TABLE t')": not_supported("REFRESH TABLE"),
}


def test_what_serverless_refuses_is_refused(service: Service) -> None:
    state, output = service.run(
        """
        import json, sys
        from pyspark.errors import AnalysisException
        from pyspark.sql import SparkSession

        spark = SparkSession.builder.getOrCreate()
        for call in sys.argv[1:]:
            try:
                exec(call)
            except AnalysisException as error:
                print(json.dumps([call, str(error)]))
        """,
        *REFUSED,
    )
    assert state["result_state"] == "SUCCESS", output
    assert dict(json.loads(line) for line in output["logs"].splitlines()) == REFUSED


def test_each_run_has_a_spark_session_of_its_own_which_ends_with_it(service: Service) -> None:
    text = """
        from pyspark.sql import SparkSession

        spark = SparkSession.builder.getOrCreate()
        print(spark.sql("show views").count())
        spark.sql("create temporary view leftover as select 1")
        print(spark.session_id)
    """
    logs = [service.run(text)[1]["logs"].split() for _ in range(2)]
    assert [views for views, _ in logs] == ["0", "0"]
    closed, output = service.run(
        """
        import os, sys
        from pyspark.sql.connect.session import SparkSession

        url = os.environ["SPARK_REMOTE"].partition(";session_id=")[0]
        former = f"{url};session_id={sys.argv[1]};user_id=databricks"
        SparkSession.builder.remote(former).create().sql("select 1").collect()
        """,
        logs[0][1],
    )
    assert closed["result_state"] == "FAILED"
    assert "INVALID_HANDLE.SESSION_CLOSED" in output["error"]


def test_what_a_script_started_ends_with_it(service: Service) -> None:
    _, output = service.run(
        """
        import subprocess

        print(subprocess.Popen(["sleep", "1000"]).pid)
        """
    )
    child = Path(f"/proc/{output['logs'].strip()}/comm")
    wait_for(lambda: not child.exists() or child.read_text() != "sleep\n")


def test_the_scripts_interpreter_is_the_services(service: Service) -> None:
    _, output = service.run("import sys; print(sys.executable)")
    assert output["logs"].strip() == sys.executable
