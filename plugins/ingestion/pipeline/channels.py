"""A channel by which people are told."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

_ADDRESS = re.compile(r"\w+://\S+")
_SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|private_?key|authorization", re.IGNORECASE)


class Channel(BaseModel):
    """A way to tell people: a notifier of Airflow or a provider, by its import path, and the arguments it takes.

    In its arguments `{subject}` and `{text}` stand for those of a message.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    notifier: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]

    def secret_arguments(self) -> list[str]:
        """The names of those arguments that are an address or a secret, as far as names and values tell."""
        return [name for name, value in (self.model_extra or {}).items() if _is_secret(name, value)]


def _is_secret(name: str, value: object) -> bool:
    if isinstance(value, dict):
        return any(_is_secret(str(key), item) for key, item in value.items())
    if isinstance(value, list):
        return any(_is_secret(name, item) for item in value)
    return isinstance(value, str) and bool(_SECRET_NAME.search(name) or _ADDRESS.fullmatch(value))
