"""Where a rehearsal takes place: a desk of its own in a folder of its own, and nothing of the user's settings."""

import csv
import io
import json
import math
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alphapanda.domain.errors import InvalidValueError
from alphapanda.rehearsal.broker_control import SimulatorFailed
from alphapanda.rehearsal.storm import SYMBOLS
from alphapanda.rehearsal.tempo import Tempo
from alphapanda.running.ports import require_port
from alphapanda.running.simulated import simulator_settings
from alphapanda.stack.parent import PARENT_PID_VARIABLE

PREFIX = "ALPHAPANDA_"
_KEPT_S = 3600
_PRICE, _TICK = 200.0, 0.05


@dataclass(frozen=True, slots=True)
class Option:
    """The contract whose orders are large enough to be sliced."""

    exchange: str
    tradingsymbol: str
    token: int


def settle_in(folder: Path, tempo: Tempo) -> int:
    """Make this process, and those it starts, a rehearsal's: settings and working directory. Returns the simulator's
    port.

    The user's own settings and `.env` must not reach it: they may name real servers and a real account.
    Raises InvalidValueError where the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InvalidValueError(
            f"--data-dir: {folder} is not empty; a rehearsal needs a folder of its own",
            next_action="Name a new folder, or leave the option out.",
        )
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        if name != PARENT_PID_VARIABLE:
            del os.environ[name]
    os.chdir(folder)
    port = require_port("127.0.0.1", 0, purpose="the Kite simulator", option="rehearse")
    api_port = require_port("127.0.0.1", 0, purpose="the API", option="rehearse")
    settings = {
        "DATA_DIR": str(folder.absolute()),
        "API__PORT": str(api_port),
        "ACTIVE_BROKERS": '["zerodha"]',
        "FEED__SOURCE": "simulator",
        "FEED__SYMBOLS": json.dumps(SYMBOLS),
        "FEED__STRATEGIES": "[]",
        **simulator_settings(port),
        **tempo.settings(),
    }
    os.environ.update({PREFIX + name: value for name, value in settings.items()})
    return port


def option_of(dump: str) -> Option:
    """The first call option of an instrument dump."""
    for row in csv.DictReader(io.StringIO(dump)):
        if row["instrument_type"] == "CE":
            token = int(row["instrument_token"])
            return Option(row["exchange"], row["tradingsymbol"], token)
    raise SimulatorFailed("its instruments hold no call option")


def record_option(option: Option, folder: Path) -> Path:
    """An hour of the option's ticks from now on, one a second, as a recording the feed can replay."""
    path = folder / f"ticks_{option.tradingsymbol}_{option.token}.csv"
    began = math.floor(time.time())
    with path.open("w", encoding="ascii", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", "token", "ltp"))
        for second in range(_KEPT_S):
            at = datetime.fromtimestamp(began + second, UTC).isoformat()
            steps = round(math.sin(second / 40) * _PRICE * 0.01 / _TICK)
            writer.writerow((at, option.token, f"{_PRICE + steps * _TICK:.2f}"))
    return path
