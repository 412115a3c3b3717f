"""What the real services say when they fail: bodies as their documentation and their users show them."""

import json

from tests.faults.rules import Answer

_GCS = {
    429: ("rateLimitExceeded", "The object exceeded the rate limit for object mutation operations. Reduce your rate."),
    503: ("backendError", "We encountered an internal error. Please try again."),
    403: ("forbidden", ""),
    400: ("invalid", ""),
}
_DATABRICKS = {
    429: ("REQUEST_LIMIT_EXCEEDED", "Request rate limit exceeded. Please try again later."),
    503: ("TEMPORARILY_UNAVAILABLE", "The service is temporarily unavailable. Please try again later."),
}


def gcs(status: int, message: str = "", *, contents: bool = False) -> Answer:
    """The bucket's: JSON, or plain text where the contents of an object were asked for."""
    reason, usual = _GCS[status]
    text = message or usual
    if contents:
        return Answer(status, text, "text/html; charset=UTF-8")
    error = {"code": status, "message": text, "errors": [{"message": text, "domain": "global", "reason": reason}]}
    return Answer(status, json.dumps({"error": error}))


def databricks(status: int) -> Answer:
    """That of the Jobs API."""
    code, message = _DATABRICKS[status]
    return Answer(status, json.dumps({"error_code": code, "message": message}))
