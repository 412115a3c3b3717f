"""The one exception of the jobs' own."""


class IngestionError(Exception):
    """A failure whose message is one line for the person who must act: what is wrong, where, and what to do.

    Databricks shows that line alone, without the traceback.
    """
