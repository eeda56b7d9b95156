"""The simulator's control plane: what a rehearsal does behind the desk's back, and the truth it learns there."""

import json
from decimal import Decimal
from typing import Any

import httpx

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Tag
from alphapanda.rehearsal.plan import Arming

_TIMEOUT_S = 20.0


class SimulatorFailed(AlphaPandaError):  # noqa: N818 - named for the condition
    """The simulator does not do what the script asks of it."""

    code = "SIMULATOR_FAILED"
    default_next_action = "Read kite-sim.log in the data directory's logs."


class BrokerControl:
    """`async with BrokerControl(url) as broker:`. Numbers come back exact. Every method raises SimulatorFailed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> "BrokerControl":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._ask("GET", "/sim/state")
        return found

    async def arm(self, arming: Arming, *, tag: Tag | None = None) -> None:
        body = {"fault": arming.fault.value, **arming.options}
        await self._ask("POST", "/sim/faults", body | ({"tag": tag} if tag is not None else {}))

    async def disarm(self) -> None:
        await self._ask("DELETE", "/sim/faults")

    async def release(self) -> None:
        """What a fault hides, keeps stuck or holds back is let go, as after a call to the broker's desk."""
        await self._ask("POST", "/sim/release", {})

    async def expire_session(self) -> None:
        await self._ask("POST", "/sim/session/expire", {})

    async def sockets(self, action: str) -> None:
        await self._ask("POST", "/sim/sockets", {"action": action})

    async def trade(self, tradingsymbol: str, side: str, quantity: int) -> str:
        """A trade by hand at the last price. Returns its order id."""
        body = {"exchange": "NSE", "tradingsymbol": tradingsymbol, "transaction_type": side, "quantity": quantity}
        return str((await self._ask("POST", "/sim/external-trade", body))["order_id"])

    async def square_off(self, tradingsymbol: str) -> list[str]:
        """Returns the order ids of what the broker closed."""
        done = await self._ask("POST", "/sim/square-off", {"exchange": "NSE", "tradingsymbol": tradingsymbol})
        return list(done["order_ids"])

    async def instruments(self, exchange: str) -> str:
        """The day's dump, CSV."""
        answer = await self._http.get(f"/instruments/{exchange}")
        return answer.text

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise SimulatorFailed(f"the simulator at {self.url} does not answer: {type(error).__name__}") from error
        if answer.is_error:
            raise SimulatorFailed(f"{method} {path} with {body}: {answer.text[:300]}")
        return json.loads(answer.text, parse_float=Decimal)
