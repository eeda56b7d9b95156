"""The desk as a user has it: its REST API, and the browser that logs in."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from alphapanda.domain.errors import AlphaPandaError

BROKER = "zerodha"
_TIMEOUT_S = 45.0
_PAGE = 200


class DeskRefused(AlphaPandaError):  # noqa: N818 - named for the condition
    """The desk's API does not answer, or refuses; `status` is 0 where it did not answer."""

    code = "REHEARSAL_DESK_REFUSED"
    default_next_action = "Read api.log in the data directory's logs."

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class DeskApi:
    """`async with DeskApi(url, token) as desk:`; every method raises DeskRefused."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"{url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
            limits=httpx.Limits(max_connections=40),
            trust_env=False,
        )

    async def __aenter__(self) -> "DeskApi":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def hand_in(self, signal: dict[str, Any]) -> dict[str, Any]:
        return await self._ask("POST", "/signals", json=signal)

    async def order(self, order_id: str) -> dict[str, Any]:
        return await self._ask("GET", _of(order_id))

    async def command(self, order_id: str, verb: str, **body: Any) -> dict[str, Any]:
        """`cancel`, `modify` or `resolve`."""
        return await self._ask("POST", f"{_of(order_id)}/{verb}", json=body or None)

    async def broker(self) -> dict[str, Any]:
        return await self._ask("GET", f"/brokers/{BROKER}")

    async def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Every item of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            asked = {"limit": _PAGE, **query, **({"cursor": cursor} if cursor else {})}
            page = await self._ask("GET", path, params=asked)
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def log_in(self) -> None:
        """As in a browser: the login page, and back to the desk's callback with what the broker hands out."""
        page = await self._ask("GET", f"/brokers/{BROKER}/login")
        async with httpx.AsyncClient(follow_redirects=True, timeout=_TIMEOUT_S, trust_env=False) as browser:
            try:
                answer = await browser.get(page["login_url"])
            except httpx.HTTPError as error:
                raise DeskRefused(f"the login ended with {type(error).__name__}", status=0) from error
        if answer.is_error:
            raise DeskRefused(f"the login was refused: {answer.status_code} {answer.text[:300]}", status=0)

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise DeskRefused(f"{method} {path}: {type(error).__name__}", status=0) from error
        if answer.status_code not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            raise DeskRefused(f"{method} {path}: {answer.status_code} {answer.text[:300]}", status=answer.status_code)
        found: dict[str, Any] = answer.json()
        return found


def _of(order_id: str) -> str:
    return f"/orders/{quote(order_id, safe=':')}"
