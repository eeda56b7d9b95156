"""A desk whose Zerodha is the Kite simulator: the settings that lead there, and the process it is."""

from collections.abc import Mapping
from pathlib import Path

from alphapanda.running.children import Child, module
from alphapanda.running.whereabouts import url_of
from alphapanda.settings import Settings

_DRAIN_S = 10.0
_HOST = "127.0.0.1"
STATE_FILE = "kite-sim.sqlite"
"""In the data directory: the simulated account survives a restart of the desk as a real one does."""


def simulator_url(port: int) -> str:
    return f"http://{_HOST}:{port}"


def simulator_settings(port: int) -> Mapping[str, str]:
    """Settings (without the prefix) by which the unmodified adapter talks to a simulator on `port`."""
    return {
        "ZERODHA__API_ROOT": simulator_url(port),
        "ZERODHA__TICKER_ROOT": f"ws://{_HOST}:{port}",
        "ZERODHA__LOGIN_ROOT": simulator_url(port),
        "ZERODHA__API_KEY": "kitesim",
        "ZERODHA__API_SECRET": "kitesim-is-no-secret",
    }


def simulator_child(settings: Settings, port: int, *, logs: Path | None = None) -> Child:
    """The simulator, with the desk's own quotes as its market, and the desk as the place it reports to."""
    api = f"{url_of(settings.api.host, settings.api.port)}/api/v1/brokers/zerodha"
    arguments = (
        "kite-sim", "--port", str(port), "--state", str(settings.data_dir / STATE_FILE), "--follow-desk",
        "--redirect-url", f"{api}/callback", "--postback-url", f"{api}/postback",
    )  # fmt: skip
    return Child("kite-sim", module("alphapanda.cli", *arguments), logs and logs / "kite-sim.log", _DRAIN_S)
