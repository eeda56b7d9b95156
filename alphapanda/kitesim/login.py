"""The page to which a trader is sent to log in. Here everybody is let in at once."""

import html
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from alphapanda.kitesim.account import Account
from alphapanda.kitesim.http import Reply, Request

PATH = "/connect/login"


def page(account: Account, request: Request) -> Reply:
    """A redirect to the app with a request token and its own `redirect_params`; the token itself without an address."""
    params = request.params
    if params.get("api_key") != account.settings.api_key:
        return _html(400, "Invalid `api_key`.")
    token = account.sessions.request_token(account.now())
    where = account.settings.redirect_url
    if where is None:
        return _html(200, f"request_token: {token}")
    scheme, host, path, query, _ = urlsplit(where)
    given = parse_qsl(query) + parse_qsl(params.get("redirect_params", ""))
    given += [("action", "login"), ("type", "login"), ("status", "success"), ("request_token", token)]
    return Reply(302, b"", headers={"location": urlunsplit((scheme, host, path, urlencode(given), ""))})


def _html(status: int, text: str) -> Reply:
    page = f"<html><body><h1>Kite simulator</h1><p>{html.escape(text)}</p></body></html>"
    return Reply(status, page.encode(), content_type="text/html; charset=utf-8")
