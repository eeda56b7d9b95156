"""What must be set before Zerodha can be spoken to. Imports little: a start refuses before it opens anything."""

from urllib.parse import urlsplit

from alphapanda.settings import SettingsError, ZerodhaSettings


def require_account(settings: ZerodhaSettings) -> None:
    """Raises SettingsError naming what lacks."""
    credentials(settings)
    plain_root(settings.api_root)


def credentials(settings: ZerodhaSettings) -> tuple[str, str]:
    for name, value in (("API_KEY", settings.api_key), ("API_SECRET", settings.api_secret)):
        if value is None or not value.get_secret_value():
            raise SettingsError(f"ALPHAPANDA_ZERODHA__{name}: required for zerodha (the developer console shows it)")
    assert settings.api_key is not None and settings.api_secret is not None  # noqa: S101 - for the type checker
    return settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()


def plain_root(root: str) -> str:
    """Raises SettingsError for a root kiteconnect would not use as given: its urljoin drops any path."""
    parts = urlsplit(root)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"ALPHAPANDA_ZERODHA__API_ROOT: {root!r} must be like https://api.kite.trade")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(
            f"ALPHAPANDA_ZERODHA__API_ROOT: {root!r} must have no path or query; kiteconnect would drop it"
        )
    return root.rstrip("/")
