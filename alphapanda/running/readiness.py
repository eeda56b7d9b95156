"""What the desk still lacks before it can take an order, as its API tells."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Probe:
    """Asks `/health/ready`. `with_feed`: whether a feed is expected to live too."""

    base_url: str
    token: str
    with_feed: bool

    async def missing(self, client: httpx.AsyncClient) -> list[str]:
        """What is not there yet, in words; empty when all is."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = await client.get(f"{self.base_url}/health/ready", headers=headers, timeout=_TIMEOUT_S)
        except httpx.HTTPError:
            return ["api"]
        if answer.status_code not in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE):
            return [f"api (answers {answer.status_code})"]
        return missing_parts(answer.json(), with_feed=self.with_feed)


def missing_parts(ready: dict[str, Any], *, with_feed: bool) -> list[str]:
    """The parts of a readiness document that the desk cannot do without."""
    parts = [(name, part) for name, part in ready["components"].items()]
    for broker in ready["brokers"]:
        parts.append((f"broker {broker['broker']}", broker["worker"]))
        if with_feed:
            parts.append(("feed", broker["feed"]))
    lacking = [f"{name} ({part['detail']})" for name, part in parts if part["status"] != "up"]
    return list(dict.fromkeys(lacking))
