"""The login page's address, and the proof that a postback is Zerodha's own."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from alphapanda.brokers.zerodha.account import credentials
from alphapanda.settings import ZerodhaSettings


def login_url(settings: ZerodhaSettings, *, state: str) -> str:
    """Where a person logs in. Zerodha adds `state` to the redirect, beside its request token.

    Raises SettingsError without API key and secret: a login could not be completed.
    """
    api_key, _ = credentials(settings)
    query = urlencode({"v": "3", "api_key": api_key, "redirect_params": urlencode({"state": state})})
    return f"{settings.login_root.rstrip('/')}/connect/login?{query}"


def is_genuine_postback(payload: Mapping[str, Any], settings: ZerodhaSettings) -> bool:
    """Whether the checksum is Zerodha's: sha256 of order id, its time and the API secret. False for any other form.

    It says nothing about freshness: the same postback proves itself again, so it may only ever be a nudge.
    """
    given, order_id, at = (payload.get(name) for name in ("checksum", "order_id", "order_timestamp"))
    if not (isinstance(given, str) and isinstance(order_id, str) and isinstance(at, str)):
        return False
    _, secret = credentials(settings)
    ours = sha256(f"{order_id}{at}{secret}".encode()).hexdigest()
    return hmac.compare_digest(ours.encode(), given.lower().encode())
