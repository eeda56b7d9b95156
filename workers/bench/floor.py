"""The floor: the least that Temporal can do for one order, a bare workflow with one no-op activity on another queue."""

from datetime import timedelta

from temporalio import activity, workflow

FLOOR_QUEUE = "floor"
FLOOR_ACTIVITY_QUEUE = "floor-broker"


@activity.defn(name="floor_call")
async def floor_call(order_id: str) -> str:  # the benchmark's process registers its own, which notes the time
    return order_id


@workflow.defn(name="FloorWorkflow")
class FloorWorkflow:
    @workflow.run
    async def run(self, order_id: str) -> str:
        return await workflow.execute_activity(
            floor_call, order_id, task_queue=FLOOR_ACTIVITY_QUEUE, start_to_close_timeout=timedelta(seconds=30)
        )
