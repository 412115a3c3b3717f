"""The jobs' own exceptions."""


class IngestionError(Exception):
    """A failure whose message is one line for the person who must act: what is wrong, where, and what to do.

    Databricks shows that line alone, without the traceback.
    """


class ConflictError(IngestionError):
    """Another writer of the same table was faster every time. Repeated later, the same work can succeed."""


class RefusedError(IngestionError):
    """Something that no later try changes, as long as nobody changes the feed, a table or a file.

    Airflow knows it by its name and does not try again.
    """
