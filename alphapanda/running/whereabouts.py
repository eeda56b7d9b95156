"""`<data_dir>/run/api.json`: where the API of the running desk is, for the commands that talk to it."""

import json
import os
from pathlib import Path

from alphapanda.settings import Settings
from alphapanda.stack import read_endpoints

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - recognised, not bound


def url_of(host: str, port: int) -> str:
    """Where this machine reaches a server that listens on `host`."""
    reachable = _ANY_ADDRESS.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def write_api_url(data_dir: Path, url: str) -> None:
    path = _file(data_dir)
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps({"url": url, "owner_pid": os.getpid()}))
    aside.replace(path)


def remove_api_url(data_dir: Path) -> None:
    _file(data_dir).unlink(missing_ok=True)


def api_url(settings: Settings) -> str:
    """Of the desk that runs on the data directory; where none does, what the settings say."""
    if read_endpoints(settings.data_dir) is not None:  # the file of a desk that was killed does not count
        try:
            return str(json.loads(_file(settings.data_dir).read_text())["url"])
        except FileNotFoundError:  # still starting
            pass
    return url_of(settings.api.host, settings.api.port)


def _file(data_dir: Path) -> Path:
    return data_dir / "run" / "api.json"
