"""How the API says that it does not do something."""


class ApiError(Exception):
    """An answer other than 200, in the form Databricks gives it."""

    def __init__(self, status: int, code: str | int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code
