"""`alphapanda login`: a broker's session, opened by a person in a browser. Never reads stdin."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alphapanda.commands.common import AsJson, DataDir, connected, in_path, print_facts, print_json
from alphapanda.domain.errors import AlphaPandaError

if TYPE_CHECKING:
    from alphapanda.commands.client import ApiClient

_LOOK_S = 1.0

app = typer.Typer()


class LoginNotSeen(AlphaPandaError):  # noqa: N818 - named for the condition
    """Nobody came back from the broker's login page in time."""

    code = "BROKER_LOGIN_NOT_SEEN"


@app.command()
def login(
    broker: Annotated[str, typer.Option("--broker", help="The broker to log in to.")],
    request_token: Annotated[
        str | None, typer.Option("--request-token", help="As the broker's login page handed it out.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the browser has come back and the session lives.")
    ] = True,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait.")] = 300.0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Log in to a broker: shows where, then waits for the browser to come back. The paper broker needs no page."""
    with connected() as api:
        path = f"/brokers/{in_path(broker)}"
        if request_token is None:
            page = api.get(f"{path}/login")
            if page["login_url"] is not None:
                before = api.get(path)
                _show(page, as_json=as_json and not wait, aside=as_json and wait)
                if wait:
                    _told(_until_logged_in(api, path, before, timeout), as_json=as_json)
                return
            request_token = "none-needed"  # noqa: S105 - there is no page that hands one out: any is as good
        _told(api.post(f"{path}/session", {"request_token": request_token}), as_json=as_json)


def _show(page: dict[str, Any], *, as_json: bool, aside: bool) -> None:
    """Where to log in; `aside`: on stderr, as stdout is for the JSON at the end."""
    if as_json:
        print_json(page)
        return
    typer.echo(f"{page['login_url']}\n\n{page['instructions']}", err=aside)


def _until_logged_in(api: "ApiClient", path: str, before: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """The broker as it is once a session lives that did not live before. Raises LoginNotSeen."""
    from alphapanda.commands.client import ApiRefused, ApiUnreachable  # noqa: PLC0415

    broker = before["broker"]
    typer.echo(f"\nwaiting for the login, {timeout_s:g} s at most …", err=True)
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        time.sleep(_LOOK_S)
        try:
            now: dict[str, Any] = api.get(path)
        except (ApiUnreachable, ApiRefused):
            continue  # it may be restarting; the login goes through it, not through us
        if now["session"] == "ACTIVE" and now["session_since"] != before["session_since"]:
            return now
    raise LoginNotSeen(
        f"no login to {broker} within {timeout_s:g} s; the session is {before['session']}",
        next_action=f"Run `alphapanda login --broker {broker}` again and log in at the address it shows. Where the "
        "browser showed no page of this desk at the end, correct the redirect URL of your app, or pass the "
        "request_token of the browser's address with --request-token.",
    )


def _told(broker: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(broker)
        return
    typer.echo(f"logged in to {broker['broker']}\n")
    print_facts(broker)
