"""All settings, in one class: environment variables `ALPHAPANDA_*`, nested with `__`, `.env` read in development.

Units stand in the names (`_s`, `_ms`, `_bps`). An unknown name is an error, never silence. Secrets are `SecretStr`.
"""

import os
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker, broker_name
from alphapanda.domain.vocabulary import UnfilledMarket

PREFIX = "ALPHAPANDA_"
PARENT_PID_VARIABLE = "ALPHAPANDA_PARENT_PID"
"""Not a setting: how a process of ours learns which process it must not outlive."""

KNOWN_BROKERS = frozenset({"paper", "zerodha"})


class SettingsError(AlphaPandaError):
    """A setting is unknown or bad; the message names the variable and the rule."""

    code = "SETTINGS_INVALID"
    default_next_action = "Correct the named variable (see .env.example) and start again."


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class FeedSource(StrEnum):
    SIMULATOR = "simulator"
    REPLAY = "replay"
    ZERODHA = "zerodha"
    NONE = "none"


INVENTED = frozenset({FeedSource.SIMULATOR, FeedSource.REPLAY})
"""Sources whose prices are not the market's of this moment."""


def _list_of(value: Any) -> Any:
    """A JSON list as it is, `a,b` split at the commas."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, str):
        import json  # noqa: PLC0415 - only where a list is given as JSON

        return json.loads(value)
    return value


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Group):
    url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL (postgresql+asyncpg://…); unset = embedded."
    )
    pool_size: int = Field(default=10, ge=1, le=200)


class RedisSettings(_Group):
    url: SecretStr | None = Field(default=None, description="redis:// or unix:// URL; unset = embedded.")


class TemporalSettings(_Group):
    address: str | None = Field(default=None, description="host:port of the frontend; unset = embedded.")
    namespace: str = "default"
    api_key: SecretStr | None = None
    tls: bool = False
    tls_server_root_ca: Path | None = None
    tls_client_cert: Path | None = None
    tls_client_key: Path | None = None
    ui_url: str | None = Field(default=None, description="Where Temporal's web UI is; unset = the embedded one.")


class ApiSettings(_Group):
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    admin_token: SecretStr | None = Field(default=None, description="Bearer token; unset = made and kept 0600.")
    public_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("/health/live", "/health/ready", "/api/v1/health/live", "/api/v1/health/ready"),
        description="Paths that need no token; each matches exactly.",
    )

    _list = field_validator("public_paths", mode="before")(_list_of)


class CallLimits(_Group):
    """What the broker lets one account call, over all our processes together."""

    orders_per_second: int = Field(default=10, ge=2, description="Placing, modifying and cancelling together.")
    orders_per_minute: int = Field(default=400, ge=2)
    orders_per_day: int = Field(default=5000, ge=2)
    reads_per_second: int = Field(default=10, ge=1)
    reserve_percent: int = Field(default=20, ge=0, le=90, description="Of the order limits: for cancels and exits.")


class ZerodhaSettings(_Group):
    """Zerodha through Kite Connect. The roots may point to a simulator (`alphapanda kite-sim`)."""

    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None
    api_root: str = "https://api.kite.trade"
    ticker_root: str = "wss://ws.kite.trade"
    login_root: str = "https://kite.zerodha.com"
    timeout_s: float = Field(default=7.0, gt=0, le=60, description="Per read of the account.")
    order_timeout_s: float = Field(default=10.0, gt=0, le=60, description="Per placing, modifying or cancelling.")
    threads: int = Field(default=8, ge=2, le=64, description="Calls to Kite at one time; a part is kept for orders.")
    market_protection: Decimal = Field(
        default=Decimal(-1), description="Percent a MARKET or SL-M order may move; -1 = the broker's own choice."
    )
    order_updates: bool = Field(default=True, description="Listen to order updates over the WebSocket.")
    token_key: SecretStr | None = Field(
        default=None, description="32 bytes in base64 that seal the access token; unset = made and kept 0600."
    )
    limits: CallLimits = CallLimits()

    @property
    def is_simulated(self) -> bool:
        """Whether the account is one of a simulator on this machine, and no real one."""
        return urlsplit(self.api_root).hostname in ("127.0.0.1", "localhost", "::1")

    @field_validator("market_protection")
    @classmethod
    def _protection_is_given(cls, value: Decimal) -> Decimal:
        if value != -1 and not 0 < value <= 100:
            raise ValueError("must be above 0 and at most 100 percent, or -1 for automatic; exchanges refuse 0")
        return value


class PaperSettings(_Group):
    """How the paper exchange behaves. Everything random is drawn from `seed` and the order, so runs repeat."""

    starting_cash: Decimal = Field(default=Decimal(10_000_000), gt=0, description="Rupees a new account starts with.")
    seed: int = 7
    slippage_bps: Decimal = Field(
        default=Decimal(1), ge=0, description="Against the taker, on MARKET and triggered SL-M."
    )
    latency_ms: int = Field(default=0, ge=0, le=60_000, description="Delay before the exchange answers a request.")
    reject_rate: Decimal = Field(default=Decimal(0), ge=0, le=1, description="Share of orders refused at random.")
    lose_reply_rate: Decimal = Field(
        default=Decimal(0), ge=0, le=1, description="Share of placements whose reply is lost."
    )
    participation: Decimal = Field(default=Decimal(1), gt=0, le=1, description="Share of a tick's volume we may take.")
    quote_max_age_s: float = Field(default=15.0, gt=0, description="No fill on a price older than this.")
    price_band_percent: Decimal = Field(
        default=Decimal(20), gt=0, description="Band around the previous close where the dump gives none."
    )
    intraday_leverage: Decimal = Field(default=Decimal(5), ge=1, description="MIS exposure per rupee of margin.")


class FeedSettings(_Group):
    source: FeedSource = FeedSource.SIMULATOR
    files: Annotated[tuple[Path, ...], NoDecode] = Field(default=(), description="Bar or tick files; replay only.")
    symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("INFY", "RELIANCE", "HDFCBANK", "ICICIBANK", "TCS", "SBIN", "AXISBANK", "MARUTI"),
        description="Tradingsymbols on NSE that the simulator quotes.",
    )
    strategies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("sma-cross", "momentum-breakout"),
        description="Names, or package.module:ClassName, with their default parameters.",
    )
    deployments: Path | None = Field(
        default=None, description="YAML file of the strategies to run, in place of `strategies`; reloaded on change."
    )
    error_limit: int = Field(default=20, ge=1, description="Errors in a row after which a strategy is suspended.")
    slow_ms: float = Field(default=50.0, gt=0, description="A call of a strategy that takes longer is slow.")
    slow_limit: int = Field(default=20, ge=1, description="Slow calls in a row after which a strategy is suspended.")
    ticks_per_second: float = Field(default=4.0, gt=0, le=10_000, description="Per instrument; simulator only.")
    speed: float = Field(
        default=0.0, ge=0, description="Replay: 1 = real time, 60 = a minute a second, 0 = as fast as it goes."
    )
    seed: int = 7

    _list = field_validator("files", "symbols", "strategies", mode="before")(_list_of)

    @field_validator("deployments")
    @classmethod
    def _one_list_of_strategies(cls, deployments: Path | None, info: ValidationInfo) -> Path | None:
        default = cls.model_fields["strategies"].default
        if deployments is not None and info.data.get("strategies", default) != default:
            raise ValueError("give either it or STRATEGIES")
        return deployments


class MarketSettings(_Group):
    always_open: bool | None = Field(
        default=None, description="Rehearse at any hour; unset = only while the feed is simulated or replayed."
    )
    calendar_file: Path | None = None


class RiskSettings(_Group):
    """Limits per broker and instrument unless said otherwise; money in rupees."""

    max_order_quantity: int = Field(default=100_000, ge=1)
    max_order_value: Decimal = Field(default=Decimal(5_000_000), gt=0)
    max_position_quantity: int = Field(default=200_000, ge=1)
    max_position_value: Decimal = Field(default=Decimal(10_000_000), gt=0)
    max_daily_loss: Decimal = Field(default=Decimal(200_000), gt=0, description="Per broker; realised and unrealised.")
    price_collar_percent: Decimal = Field(default=Decimal(10), gt=0, description="Of the last quote, either side.")
    quote_max_age_s: float = Field(default=15.0, gt=0, description="An entry needs a quote at most this old.")
    signal_max_age_s: float = Field(default=300.0, gt=0)
    duplicate_window_s: float = Field(
        default=0.0, ge=0, description="Same strategy, instrument, side, quantity; 0 = off."
    )
    approval_value: Decimal | None = Field(
        default=None, gt=0, description="A person confirms orders above it; unset = never."
    )
    max_dump_age_days: int = Field(
        default=4, ge=1, le=30, description="No entry at a real broker on an older instrument dump; 4 = a long weekend."
    )


class OrderSettings(_Group):
    """Timings of the OrderWorkflow; they travel in its input, so a running order keeps those it started with."""

    quote_wait_s: float = Field(
        default=10.0, ge=0, description="How long an entry waits for a fresh quote before it is denied."
    )
    approval_timeout_s: float = Field(default=900.0, gt=0)
    submit_timeout_s: float = Field(default=30.0, gt=0)
    poll_interval_s: float = Field(default=60.0, gt=0, description="Re-read of a resting order when no nudge comes.")
    resolve_interval_s: float = Field(default=2.0, gt=0)
    resolve_timeout_s: float = Field(
        default=300.0, gt=0, description="How long UNKNOWN is looked up before it is parked."
    )
    resend_when_absent: bool = Field(default=False, description="Send again what the book proved absent; else park it.")
    absent_after_s: float = Field(
        default=120.0, ge=0, description="No absence is proved sooner after the request: books lag, by minutes."
    )
    late_fill_watch_s: float = Field(
        default=30.0, ge=0, description="How long a cancelled or expired order stays watched."
    )
    unfilled_market: UnfilledMarket = Field(
        default=UnfilledMarket.WAIT,
        description="The rest of a MARKET or triggered SL-M order that stays open beyond the protection band: "
        "wait, reprice (modified to MARKET again, then cancelled) or cancel.",
    )
    unfilled_market_after_s: float = Field(default=30.0, gt=0)
    unfilled_market_reprices: int = Field(default=3, ge=1, le=20, description="Then the rest is cancelled.")


class LogSettings(_Group):
    level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    active_brokers: Annotated[tuple[Broker, ...], NoDecode] = (Broker("paper"),)
    environment: Environment = Environment.DEVELOPMENT
    data_dir: Path = Path(".alphapanda")
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    temporal: TemporalSettings = TemporalSettings()
    api: ApiSettings = ApiSettings()
    zerodha: ZerodhaSettings = ZerodhaSettings()
    paper: PaperSettings = PaperSettings()
    feed: FeedSettings = FeedSettings()
    market: MarketSettings = MarketSettings()
    risk: RiskSettings = RiskSettings()
    orders: OrderSettings = OrderSettings()
    log: LogSettings = LogSettings()

    @field_validator("active_brokers", mode="before")
    @classmethod
    def _brokers_are_a_list(cls, value: Any) -> Any:
        return _list_of(value)

    @field_validator("active_brokers")
    @classmethod
    def _brokers_are_known(cls, brokers: tuple[Broker, ...]) -> tuple[Broker, ...]:
        if not brokers:
            raise ValueError("name at least one broker")
        for broker in brokers:
            if broker_name(broker) not in KNOWN_BROKERS:
                raise ValueError(f"{broker!r} is not a broker we have (we have: {', '.join(sorted(KNOWN_BROKERS))})")
        return tuple(dict.fromkeys(brokers))

    def refuse_invented_prices(self) -> None:
        """Raise SettingsError where made-up or old prices would trade a real account."""
        if "zerodha" in self.active_brokers and self.feed.source in INVENTED and not self.zerodha.is_simulated:
            raise SettingsError(
                f"{PREFIX}FEED__SOURCE: {self.feed.source} makes up or repeats prices, which must not trade a real "
                f"account; set it to none, or point {PREFIX}ZERODHA__API_ROOT to a simulator (`alphapanda kite-sim`)"
            )

    def trades_real_money_at(self, broker: Broker) -> bool:
        """Whether the broker's account is neither paper nor one of a simulator on this machine."""
        return broker != "paper" and not (broker == "zerodha" and self.zerodha.is_simulated)

    @property
    def is_rehearsal(self) -> bool:
        """Whether the market counts as open at every hour: by itself only where feed and brokers are all ours."""
        if self.market.always_open is not None:
            return self.market.always_open
        ours = {"paper", "zerodha"} if self.zerodha.is_simulated else {"paper"}
        return self.feed.source in INVENTED and set(self.active_brokers) <= ours

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Settings from the environment; `overrides` (nested dicts) win. Raises SettingsError naming the variable."""
        unknown = sorted(_unknown_variables(os.environ))
        if unknown:
            raise SettingsError(f"{unknown[0]}: there is no such setting")
        production = os.environ.get(f"{PREFIX}ENVIRONMENT") == Environment.PRODUCTION
        try:
            # The argument is pydantic-settings' own; `.env` files are a convenience of development only.
            return cls(_env_file=None, **overrides) if production else cls(**overrides)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = PREFIX + "__".join(str(part).upper() for part in first["loc"] if not isinstance(part, int))
            raise SettingsError(f"{name}: {first['msg']}") from None
        except ValueError as error:  # pydantic-settings: a list or group that is not JSON
            raise SettingsError(f"a setting cannot be read: {error}") from None


def _unknown_variables(environment: "os._Environ[str]") -> Iterator[str]:
    for name in environment:
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper == PARENT_PID_VARIABLE:
            continue
        if not _is_field(Settings, upper.removeprefix(PREFIX).lower().split("__")):
            yield name


def _is_field(group: Any, path: list[str]) -> bool:
    """Whether `path` leads from a group of settings to one of its fields."""
    if not (isinstance(group, type) and issubclass(group, BaseModel)):
        return False
    field = group.model_fields.get(path[0])
    return field is not None and (len(path) == 1 or _is_field(field.annotation, path[1:]))
