"""The admin token: what one sends to the API, from a setting or from a file that only the owner can read."""

import secrets
from pathlib import Path

from alphapanda.private_files import is_open_to_others, make_once
from alphapanda.settings import Environment, Settings, SettingsError

_VARIABLE = "ALPHAPANDA_API__ADMIN_TOKEN"
_SHORTEST = 16


def admin_token_file(settings: Settings) -> Path:
    """Where the token is kept when no setting gives it."""
    return settings.data_dir / "admin_token"


def admin_token(settings: Settings) -> str:
    """The API's admin token. Without the setting one is made once, kept 0600 in the data directory, and read back.

    Raises SettingsError: in production without the setting, for a token too weak to keep anybody out, and where the
    file cannot be read or written.
    """
    given = settings.api.admin_token.get_secret_value().strip() if settings.api.admin_token else ""
    if given:
        return _checked(given, settings)
    if settings.environment is Environment.PRODUCTION:
        raise SettingsError(f"{_VARIABLE}: must be set in production")
    path = admin_token_file(settings)
    try:
        return _kept(path)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be used: {error.strerror or error}",
            next_action=f"Correct the folder's owner, choose another ALPHAPANDA_DATA_DIR, or set {_VARIABLE}.",
        ) from error


def _checked(token: str, settings: Settings) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(f"{_VARIABLE}: must be printable ASCII without spaces, as it travels in a header")
    if settings.environment is Environment.PRODUCTION and len(token) < _SHORTEST:
        raise SettingsError(f"{_VARIABLE}: must have at least {_SHORTEST} characters in production")
    return token


def _kept(path: Path) -> str:
    make_once(path, lambda: secrets.token_urlsafe(32))
    if is_open_to_others(path):
        path.chmod(0o600)
    token = path.read_text(encoding="ascii").strip()
    if not token:
        raise SettingsError(f"{path} is empty", next_action="Delete it; a new token is then made.")
    return token
