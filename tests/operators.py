"""Executing an operator outside a running Airflow, as far as that goes: its context, and what becomes of a deferral."""

import asyncio
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import Asset, BaseOperator
from airflow.triggers.base import BaseTrigger


class TaskInstance:
    """What operators ask of it: somewhere to leave values for others."""

    def __init__(self) -> None:
        self.xcom: dict[str, Any] = {}

    def xcom_push(self, key: str, value: object) -> None:
        self.xcom[key] = value


def new_context(*outlets: Asset) -> dict[str, Any]:
    """A context with a task instance and, for each asset, an event to be filled in."""
    return {"ti": TaskInstance(), "outlet_events": {asset: SimpleNamespace(extra={}) for asset in outlets}}


def execute_to_end(operator: BaseOperator, context: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever it returns
    """Do what Airflow does: carry the trigger over in serialized form, await its event, go on with that.

    A run that is over when the operator first looks at it is not deferred.
    """
    try:
        return operator.execute(context)
    except TaskDeferred as error:
        deferral = error
    path, arguments = deferral.trigger.serialize()
    trigger = type(deferral.trigger)(**arguments)
    assert path.endswith(type(trigger).__name__)
    event = asyncio.run(_first_event(trigger))
    return getattr(operator, deferral.method_name)(context, event)


async def _first_event(trigger: BaseTrigger) -> dict[str, Any]:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")
