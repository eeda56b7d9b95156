"""`alphapanda up --broker zerodha --kite-sim`: Zerodha as a newcomer meets it, from no session to a fill, and back."""

import asyncio
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.processes import ask, ask_json
from tests.integration.whole_desk import WholeDesk, until, whole_desk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ZERODHA = ["zerodha"]


async def log_in(desk: WholeDesk) -> None:
    """As the browser does: from the page the CLI names, through the simulator, back to the callback."""
    said = await asyncio.to_thread(ask, "login", "--broker", "zerodha", "--no-wait", variables=desk.variables)
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as browser:
        page = await browser.get(said.stdout.splitlines()[0])
    assert page.status_code == 200, page.text


async def test_from_no_session_to_a_fill_and_over_a_restart(tmp_path: Path) -> None:
    options = ("--broker", "zerodha", "--kite-sim")
    async with whole_desk(tmp_path, *options, FEED__STRATEGIES="") as desk:
        # Nobody has logged in: the order waits, nothing is sent.
        waiting = await desk.send(brokers=ZERODHA, quantity=4, product="CNC")
        await desk.until(waiting, "AWAITING_AUTH")
        await log_in(desk)
        filled = await desk.until(waiting, "FILLED")
        assert filled["filled_quantity"] == 4
        assert filled["broker"] == "zerodha"
        # The doctor asks about the desk that runs, whatever the settings of its own terminal say.
        report = await asyncio.to_thread(ask_json, "doctor", variables=desk.variables)
        assert report["ok"], report
        assert "session (zerodha)" in {check["component"] for check in report["checks"]}

        # The simulated account and the login outlive the desk, as real ones do.
        await desk.stop()
        await desk.start()
        sold = await desk.send(brokers=ZERODHA, side="SELL", quantity=4, product="CNC")
        await desk.until(sold, "FILLED")
        positions = await desk.items("/positions", broker="zerodha")
        assert [position["quantity"] for position in positions] == [0]

        async def is_clean() -> bool:
            return not await desk.items("/brokers/zerodha/drift")

        await until(is_clean, lambda: desk.items("/brokers/zerodha/drift"))


def test_the_simulator_plays_only_an_active_zerodha(tmp_path: Path) -> None:
    answer = ask("up", "--kite-sim", variables={"PATH": "", "ALPHAPANDA_DATA_DIR": str(tmp_path)})
    assert answer.returncode == 2
    assert "--broker zerodha" in answer.stderr
