"""How `stage` and `merge` wait for their Databricks run in the triggerer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger
from airflow.triggers.base import TriggerEvent

from ingestion.tasks.patience import is_outage

# Each but the last costs a pause. After the last the task is told, and its next try takes the run over.
FAILED_LOOKS = 3


class RunTrigger(DatabricksExecutionTrigger):
    """The provider's trigger, which survives failed looks at its run.

    That one ends at the first connection that is cut. To the task a trigger that has ended so is one mistake like any
    other, of which three are final, and nobody could tell it from an outage any more.
    """

    @classmethod
    def like(cls, trigger: DatabricksExecutionTrigger) -> Self:
        """For the run that `trigger` waits for."""
        _, arguments = trigger.serialize()
        return cls(**arguments)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments from which a triggerer makes this trigger again."""
        _, arguments = super().serialize()
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the provider's event, or one with `message` and `is_outage` for the task to fail with."""
        for look in range(1, FAILED_LOOKS + 1):
            try:
                async for event in super().run():
                    yield event
                return
            except Exception as error:  # whatever it is: nothing of it may be lost on the way to the task
                self.log.warning(
                    "Databricks run %s cannot be looked at (%d of %d): %r", self.run_id, look, FAILED_LOOKS, error
                )
                failure = {
                    "message": f"Databricks run {self.run_id} cannot be looked at: {type(error).__name__}: {error}",
                    "is_outage": is_outage(error),
                }
            if look < FAILED_LOOKS:
                await asyncio.sleep(self.polling_period_seconds)
        yield TriggerEvent(failure)
