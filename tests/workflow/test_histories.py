"""Workflow code replays the lives recorded with earlier code: what runs at this moment survives an upgrade.

Where a change is meant to alter what a workflow does, guard it with `workflow.patched` first; only for a change that
no running order can meet are the histories written anew:

    pytest tests/workflow/test_histories.py --write-histories
"""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.workflow.conftest import Rehearse
from tests.workflow.scenarios import SCENARIOS, scrubbed
from workflows.runtime import WORKFLOWS, plugin

HISTORIES = Path(__file__).parent / "histories"


@pytest.mark.parametrize("name", SCENARIOS)
async def test_todays_workflows_replay_the_lives_of_yesterday(name: str) -> None:
    stored = await asyncio.to_thread((HISTORIES / f"{name}.json").read_text)
    await Replayer(workflows=WORKFLOWS, plugins=[plugin()]).replay_workflow(WorkflowHistory.from_json(name, stored))


def test_every_stored_life_is_one_that_is_told() -> None:
    assert {path.stem for path in HISTORIES.glob("*.json")} == set(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_lives_are_told_anew_and_replay(
    rehearse_with: Rehearse, name: str, request: pytest.FixtureRequest
) -> None:
    writing = request.config.getoption("--write-histories", default=False)
    scenario = SCENARIOS[name]
    async with rehearse_with(**scenario.settings) as desk:
        order = await scenario.tell(desk)
        workflow_id = "broker:paper" if order is None else f"order:{order}"
        handle = desk.client.get_workflow_handle(workflow_id)
        history = await handle.fetch_history()
    await Replayer(workflows=WORKFLOWS, plugins=[plugin()]).replay_workflow(history)
    if writing:
        HISTORIES.mkdir(exist_ok=True)
        await asyncio.to_thread((HISTORIES / f"{name}.json").write_text, scrubbed(history.to_json()))
