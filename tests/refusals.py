"""A bucket that refuses single requests as GCS does; the stand-in lets everybody do everything."""

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
import requests
from google.auth.transport.requests import AuthorizedSession

HELD = (403, "Object 'orders/x' is under active Event-Based hold and cannot be deleted, overwritten or archived.")
NO_ACCESS = (403, "etl@example.iam does not have storage.objects.get access to the Google Cloud Storage object.")
ENCRYPTED = (400, "The target object is encrypted by a customer-supplied encryption key.")


class Refusals:
    """Which requests are refused: by method and object, as the client's own requests leave."""

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str], tuple[int, str]] = {}

    def refuse(self, method: str, name: str, answer: tuple[int, str]) -> None:
        """From now on, answer this method on the object of this name so.

        `UPLOAD` is what writes it anew; `LIST` is of a prefix.
        """
        self._refused[method, name] = answer

    def relent(self) -> None:
        """Refuse nothing any more."""
        self._refused.clear()

    def answer(self, method: str, url: str, body: object) -> requests.Response | None:
        """The refusal of this request, if it is to be refused."""
        for (refused, name), (status, message) in self._refused.items():
            uploads = refused == "UPLOAD" and isinstance(body, bytes) and f'"{name}"'.encode() in body
            lists = (
                refused == "LIST" and url.partition("?")[0].endswith("/o") and f"prefix={quote(name, safe='')}" in url
            )
            if uploads or lists or (method == refused and f"/o/{quote(name, safe='')}" in url):
                return _response(method, url, status, message)
        return None


def _response(method: str, url: str, status: int, message: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.request = requests.Request(method, url).prepare()
    response.headers["Content-Type"] = "application/json"
    # Contents are refused in plain text, all else as JSON.
    text = message if "alt=media" in url else json.dumps({"error": {"code": status, "message": message}})
    response._content = text.encode()
    response._content_consumed = True
    return response


def install(monkeypatch: pytest.MonkeyPatch) -> Refusals:
    """Put it between the storage client and the bucket."""
    refusals = Refusals()
    request: Callable[..., requests.Response] = AuthorizedSession.request

    def asked(session: AuthorizedSession, method: str, url: str, data: object = None, **kwargs: object) -> object:
        refused = refusals.answer(method, url, data)
        return request(session, method, url, data, **kwargs) if refused is None else refused

    monkeypatch.setattr(AuthorizedSession, "request", asked)
    return refusals
