"""The API as the commands use it: found, authenticated, its problems turned into errors a person can act on."""

from http import HTTPStatus
from typing import Any, Self

import httpx

from alphapanda.credentials import admin_token, admin_token_file
from alphapanda.domain.errors import AlphaPandaError, InvalidValueError
from alphapanda.running.whereabouts import api_url
from alphapanda.settings import Settings

_TIMEOUT_S = 30.0


class ApiUnreachable(AlphaPandaError):  # noqa: N818 - named for the condition
    """Nobody answers where the API should be. What was sent may or may not have arrived."""

    code = "API_UNREACHABLE"
    default_next_action = (
        "Start the desk with `alphapanda up`, or say where it is: --data-dir, or ALPHAPANDA_API__HOST and __PORT."
    )


class ApiRefused(AlphaPandaError):  # noqa: N818
    """The API answered with a problem; `refusal_code` is the problem's own code."""

    code = "API_REFUSED"
    default_next_action = "Look at the API's log."

    def __init__(self, message: str, *, refusal_code: str, next_action: str | None = None) -> None:
        super().__init__(message, next_action=next_action)
        self.refusal_code = refusal_code


class ApiInputRefused(ApiRefused, InvalidValueError):  # noqa: N818
    """The API found the input bad (422)."""


class ApiClient:
    """`with ApiClient.of(settings) as api:`; `get` and `post` take paths below `/api/v1` and return JSON data."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url
        self._http = httpx.Client(
            base_url=f"{base_url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
            trust_env=False,  # the desk is on this machine or in its network: no proxy between
        )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Of the desk that runs on the data directory, else of the settings. Raises ApiUnreachable, SettingsError."""
        url = api_url(settings)
        if settings.api.admin_token is None and not admin_token_file(settings).exists():
            raise ApiUnreachable(f"no desk was ever started on {settings.data_dir.absolute()}, so there is no token")
        return cls(url, admin_token(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """Query values of None are left out."""
        return self._ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: dict[str, Any] | None = None, *, timeout_s: float = _TIMEOUT_S) -> Any:
        return self._ask("POST", path, json=body, timeout=timeout_s)

    def ready(self) -> dict[str, Any]:
        """The readiness document, also when it says that something is down."""
        answer = self._send("GET", "/health/ready")
        document = _json(answer)
        if not isinstance(document, dict) or "components" not in document:
            raise _refusal(answer)
        return document

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self._send(method, path, **options)
        document = _json(answer)
        if answer.is_error or document is None:
            raise _refusal(answer)
        return document

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiUnreachable(
                f"the API at {self._base_url} does not answer: {error or type(error).__name__}"
            ) from error


def _json(answer: httpx.Response) -> Any:
    """What the answer holds; None if that is no JSON."""
    try:
        return answer.json()
    except ValueError:
        return None


def _refusal(answer: httpx.Response) -> ApiRefused:
    """The problem document as an error; of an answer that is none, its status."""
    problem = _json(answer)
    try:
        code, detail, next_action = problem["code"], problem["detail"], problem["next_action"]
    except (KeyError, TypeError):
        return ApiRefused(f"the API answered {answer.status_code} {answer.reason_phrase}", refusal_code=ApiRefused.code)
    if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        return ApiInputRefused(detail, refusal_code=code, next_action=next_action)
    return ApiRefused(detail, refusal_code=code, next_action=next_action)
