"""The form of the button Trigger, as typed fields; run_request.py says what a run makes of them."""

from airflow.sdk import Context, Param
from airflow.sdk.exceptions import AirflowFailException

from ingestion.pipeline.run_request import RunRequest, RunRequestError, run_request


def form_fields(prefix: str) -> dict[str, Param]:
    """The fields, empty: the run takes what is in `prefix`."""
    return {
        "reload_from": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Load again from",
            description=f"First day whose files are loaded again, from the archive and {prefix}, as one batch. "
            f"Empty: the run takes what is in {prefix} now.",
        ),
        "reload_to": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Load again up to",
            description="Last day, included. With one of the two dates only that day is loaded again.",
        ),
        "max_files": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="At most this many files",
            description="Of what is there, the oldest; the next run takes the rest. "
            "When loading days again, the run refuses more.",
        ),
        "again_rejected": Param(
            False,
            type="boolean",
            title="Try rejected files again",
            description="The files in rejected/ are read anew, once the feed's definition is mended say: with dates "
            "those of these days, else all. What is accepted now is loaded and moves to the archive.",
        ),
    }


def request_of(context: Context) -> RunRequest:
    """What the running run is asked to load. Raises AirflowFailException: another try would read the same form."""
    dag_run = context["dag_run"]
    try:
        return run_request(dag_run.run_type, dag_run.logical_date, context["params"])
    except RunRequestError as error:
        raise AirflowFailException(str(error)) from error
