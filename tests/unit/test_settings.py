"""Settings: every name known, every bad value named, and a documented example that cannot go stale."""

import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from alphapanda.settings import PREFIX, Environment, FeedSource, Settings, SettingsError

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _documented() -> dict[str, str]:
    return dict(re.findall(r"^#?(ALPHAPANDA_\w+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def _names(model: type[BaseModel], prefix: str) -> set[str]:
    names: set[str] = set()
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names |= _names(field.annotation, f"{prefix}{name.upper()}__")
        else:
            names.add(f"{prefix}{name.upper()}")
    return names


def test_the_example_documents_every_setting_and_no_other() -> None:
    assert set(_documented()) == _names(Settings, PREFIX)


def test_the_examples_values_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Settings.load()
    for name, value in _documented().items():
        if value:
            monkeypatch.setenv(name, value)
    assert Settings.load() == defaults


def test_what_the_example_leaves_empty_is_unset_by_default() -> None:
    for name, value in _documented().items():
        if value:
            continue
        found: object = Settings.load()
        for part in name.removeprefix(PREFIX).lower().split("__"):
            found = getattr(found, part)
        assert found in (None, ()), name


@pytest.mark.parametrize("name", ["ALPHAPANDA_FOO", "ALPHAPANDA_API__PROT", "ALPHAPANDA_API_PORT", "alphapanda_foo"])
def test_an_unknown_variable_is_an_error_that_names_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"{name}: there is no such setting"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALPHAPANDA_API__PORT", "99999"),
        ("ALPHAPANDA_PAPER__SLIPPAGE_BPS", "-1"),
        ("ALPHAPANDA_RISK__MAX_ORDER_VALUE", "many"),
        ("ALPHAPANDA_FEED__SOURCE", "carrier-pigeon"),
        ("ALPHAPANDA_LOG__LEVEL", "LOUD"),
        ("ALPHAPANDA_ENVIRONMENT", "staging"),
        ("ALPHAPANDA_ACTIVE_BROKERS", "paper,acme"),
        ("ALPHAPANDA_ACTIVE_BROKERS", "[]"),
    ],
)
def test_a_bad_value_is_an_error_that_names_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: ") as refused:
        Settings.load()
    assert ".env.example" in refused.value.next_action


def test_a_bad_secret_is_not_repeated_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAPANDA_DATABASE", '{"url": ["hunter2hunter2"]}')
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("value", ["paper,zerodha", '["paper", "zerodha"]', " paper , zerodha,paper "])
def test_a_list_may_be_json_or_commas(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAPANDA_ACTIVE_BROKERS", value)
    assert Settings.load().active_brokers == ("paper", "zerodha")


def test_one_value_of_a_group_leaves_the_others_at_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAPANDA_PAPER__SEED", "8")
    paper = Settings.load().paper
    assert (paper.seed, paper.slippage_bps) == (8, Decimal(1))


def test_an_override_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAPANDA_API__PORT", "9000")
    assert Settings.load(api={"port": 9001}).api.port == 9001


def test_the_env_file_is_read_in_development_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("ALPHAPANDA_API__PORT=9000\n")
    assert Settings.load().api.port == 9000
    monkeypatch.setenv("ALPHAPANDA_ENVIRONMENT", Environment.PRODUCTION)
    assert Settings.load().api.port == 8000


def test_the_environment_wins_over_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("ALPHAPANDA_API__PORT=9000\n")
    monkeypatch.setenv("ALPHAPANDA_API__PORT", "9001")
    assert Settings.load().api.port == 9001


def test_an_unknown_name_in_the_env_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ALPHAPANDA_API__PROT=9000\n")
    with pytest.raises(SettingsError, match=r"(?i)prot"):
        Settings.load()


def test_secrets_do_not_show_in_what_the_settings_print() -> None:
    settings = Settings.load(
        database={"url": SecretStr("postgresql+asyncpg://u:hunter2@h/d")}, api={"admin_token": "hunter2"}
    )
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().api.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("overrides", "rehearses"),
    [
        ({}, True),
        ({"feed": {"source": FeedSource.REPLAY}}, True),
        ({"feed": {"source": FeedSource.NONE}}, False),
        ({"active_brokers": ["paper", "zerodha"]}, False),
        ({"active_brokers": ["zerodha"], "market": {"always_open": True}}, True),
        ({"market": {"always_open": False}}, False),
    ],
)
def test_the_market_is_always_open_only_where_feed_and_broker_are_ours(
    overrides: dict[str, object], rehearses: bool
) -> None:
    assert Settings.load(**overrides).is_rehearsal is rehearses


def test_made_up_prices_never_trade_a_real_account() -> None:
    with pytest.raises(SettingsError, match="ALPHAPANDA_FEED__SOURCE"):
        Settings.load(active_brokers=["paper", "zerodha"]).refuse_invented_prices()


def test_a_simulated_account_may_trade_on_a_simulated_feed() -> None:
    settings = Settings.load(active_brokers=["zerodha"], zerodha={"api_root": "http://127.0.0.1:9000"})
    settings.refuse_invented_prices()
    assert settings.is_rehearsal


def test_a_nested_limit_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAPANDA_ZERODHA__LIMITS__ORDERS_PER_SECOND", "7")
    assert Settings.load().zerodha.limits.orders_per_second == 7


def test_market_protection_of_zero_is_refused() -> None:
    with pytest.raises(SettingsError, match="ALPHAPANDA_ZERODHA__MARKET_PROTECTION"):
        Settings.load(zerodha={"market_protection": 0})
