"""What a simulator is started with."""

from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class SimHolding(BaseModel):
    """Shares the account holds from earlier days. `average_price` in rupees."""

    model_config = ConfigDict(frozen=True)

    tradingsymbol: str
    quantity: int = Field(ge=1)
    average_price: Decimal = Field(gt=0)
    exchange: str = "NSE"


class SimSettings(BaseModel):
    """One simulated account. The defaults suit tests: any free port, no walk of its own, nothing kept."""

    model_config = ConfigDict(frozen=True)

    port: int = Field(default=0, ge=0, le=65535)
    """On 127.0.0.1; 0 takes any free one."""

    api_key: str = "kitesim"
    api_secret: str = "kitesim-is-no-secret"  # noqa: S105 - as it says
    user_id: str = "SIM001"

    starting_cash: Decimal = Field(default=Decimal(100_000_000), ge=0)
    """Rupees; generous, since a rehearsal is about the network and not about margins."""

    holdings: tuple[SimHolding, ...] = ()
    seed: int = 7
    """Of the walk and of faults with a probability."""

    walk_ticks_per_second: float = Field(default=0.0, ge=0, le=50)
    """Per packaged symbol; 0: prices move only when they are set."""

    market_open: bool = True
    """At the start. The simulator keeps no hours: one rehearses at night. Closed, it takes only AMO orders."""

    redirect_url: str | None = None
    """Where the login page sends the browser; None: it shows the request token instead."""

    postback_url: str | None = None
    state_file: Path | None = None
    """The book is kept there and read back at the next start; None: it dies with the process."""

    book_lag_s: float = Field(default=0.0, ge=0)
    """How long every new order stays out of the order book, the trade book and the updates."""

    enforce_limits: bool = True
    """Calls beyond Kite's limits get 429. They are counted either way."""

    request_token_s: float = Field(default=300.0, gt=0)
    order_calls_per_second: int = 10
    order_calls_per_minute: int = 400
    order_calls_per_day: int = 5000
    reads_per_second: int = 10
    quotes_per_second: int = 1
    modifications_per_order: int = 25
    sockets: int = 3
    """Connections per API key; one more is answered with 429."""
