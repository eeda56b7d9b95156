"""Access tokens, login nonces and login turns on a real Postgres."""

import asyncio
import io
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from alphapanda.domain.ids import Broker
from alphapanda.ledger.engine import LedgerEngine, LedgerUnavailable, create_ledger_engine
from alphapanda.logging import configure_logging
from alphapanda.sessions.nonces import LIFETIME, issue_nonce, use_nonce
from alphapanda.sessions.tokens import AccessToken, TokenStore
from alphapanda.sessions.turns import LoginUnderWay, login_turn
from alphapanda.sessions.vault import Vault
from alphapanda.settings import Settings

ZERODHA, PAPER = Broker("zerodha"), Broker("paper")
NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
TOKEN = "the-access-token-of-a-test"


@pytest.fixture
def store(ledger_engine: LedgerEngine) -> TokenStore:
    return TokenStore(ledger_engine, Vault(bytes(32)))


async def test_a_token_is_read_back_as_the_last_login_left_it(store: TokenStore) -> None:
    assert await store.read(ZERODHA) is None
    await store.write(ZERODHA, "the-first-token", "AB1234", at=NOW)
    await store.write(ZERODHA, TOKEN, "AB1234", at=NOW + timedelta(days=1))
    assert await store.read(ZERODHA) == AccessToken(TOKEN, "AB1234", NOW + timedelta(days=1))
    assert await store.read(PAPER) is None


async def test_a_token_is_sealed_in_the_ledger_and_hidden_in_its_repr(
    store: TokenStore, ledger_engine: LedgerEngine
) -> None:
    await store.write(ZERODHA, TOKEN, "AB1234", at=NOW)
    async with ledger_engine.connect() as connection:
        row = (await connection.execute(text("SELECT * FROM broker_tokens"))).one()
    assert TOKEN.encode() not in bytes(row.sealed)
    assert TOKEN not in repr(await store.read(ZERODHA))


async def test_only_the_session_that_died_is_forgotten(store: TokenStore) -> None:
    await store.write(ZERODHA, TOKEN, "AB1234", at=NOW)
    await store.forget(ZERODHA, opened_at=NOW - timedelta(seconds=1))
    assert await store.read(ZERODHA) is not None
    await store.forget(ZERODHA, opened_at=NOW)
    assert await store.read(ZERODHA) is None


async def test_a_token_under_another_key_is_no_session_and_the_log_says_once_what_to_do(
    store: TokenStore, ledger_engine: LedgerEngine, tmp_path: Path
) -> None:
    await store.write(ZERODHA, TOKEN, "AB1234", at=NOW)
    others = TokenStore(ledger_engine, Vault(b"\x01" * 32))
    said = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        configure_logging(Settings.load(_env_file=None, data_dir=tmp_path), "test", stream=said)
        assert await others.read(ZERODHA) is None
        assert await others.read(ZERODHA) is None
    finally:
        root.handlers, root.level = handlers, level
    assert said.getvalue().count("session_unreadable") == 1
    assert "Log in again" in said.getvalue()
    await others.write(ZERODHA, "the-next-token", "AB1234", at=NOW)
    assert await others.read(ZERODHA) == AccessToken("the-next-token", "AB1234", NOW)


async def test_without_postgres_it_is_the_ledger_that_is_missing() -> None:
    engine = create_ledger_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    store = TokenStore(engine, Vault(bytes(32)))
    with pytest.raises(LedgerUnavailable):
        await store.read(ZERODHA)
    with pytest.raises(LedgerUnavailable):
        await store.write(ZERODHA, TOKEN, "AB1234", at=NOW)
    await engine.dispose()


async def test_a_nonce_is_good_once(ledger_engine: LedgerEngine) -> None:
    nonce = await issue_nonce(ledger_engine, ZERODHA, now=NOW)
    assert await use_nonce(ledger_engine, ZERODHA, nonce, now=NOW)
    assert not await use_nonce(ledger_engine, ZERODHA, nonce, now=NOW)


async def test_of_callers_that_race_one_uses_the_nonce(ledger_engine: LedgerEngine) -> None:
    nonce = await issue_nonce(ledger_engine, ZERODHA, now=NOW)
    used = await asyncio.gather(*(use_nonce(ledger_engine, ZERODHA, nonce, now=NOW) for _ in range(8)))
    assert sorted(used) == [False] * 7 + [True]


async def test_a_nonce_is_good_for_minutes_and_for_its_own_broker(ledger_engine: LedgerEngine) -> None:
    nonce = await issue_nonce(ledger_engine, ZERODHA, now=NOW)
    assert not await use_nonce(ledger_engine, PAPER, nonce, now=NOW)
    assert not await use_nonce(ledger_engine, ZERODHA, nonce, now=NOW + LIFETIME)
    assert not await use_nonce(ledger_engine, ZERODHA, nonce + "x", now=NOW)
    assert await use_nonce(ledger_engine, ZERODHA, nonce, now=NOW + LIFETIME - timedelta(seconds=1))


async def test_the_ledger_has_the_hash_of_a_nonce_only_and_old_ones_go(ledger_engine: LedgerEngine) -> None:
    nonces = [await issue_nonce(ledger_engine, ZERODHA, now=NOW + timedelta(days=days)) for days in (0, 3)]
    async with ledger_engine.connect() as connection:
        rows = (await connection.execute(text("SELECT nonce_hash FROM login_nonces"))).scalars().all()
    assert len(rows) == 1
    assert not set(nonces) & set(rows)
    assert all(len(nonce) >= 43 for nonce in nonces)


async def test_logins_to_one_broker_take_turns(ledger_engine: LedgerEngine) -> None:
    inside: list[str] = []

    async def log_in(name: str, broker: Broker) -> None:
        async with login_turn(ledger_engine, broker):
            inside.append(f"{name} in")
            await asyncio.sleep(0.05)
            inside.append(f"{name} out")

    await asyncio.gather(*(log_in(str(number), ZERODHA) for number in range(12)))
    assert [word.split()[0] for word in inside[::2]] == [word.split()[0] for word in inside[1::2]]


async def test_a_login_that_waits_too_long_is_told_that_another_is_under_way(ledger_engine: LedgerEngine) -> None:
    async with login_turn(ledger_engine, ZERODHA):
        async with login_turn(ledger_engine, PAPER):
            pass
        with pytest.raises(LoginUnderWay, match="zerodha"):
            async with login_turn(ledger_engine, ZERODHA, patience_s=0.2):
                pass
    async with login_turn(ledger_engine, ZERODHA, patience_s=0.2):
        pass


async def test_a_turn_ends_with_whatever_ends_the_login(ledger_engine: LedgerEngine) -> None:
    with pytest.raises(ValueError, match="the broker said no"):
        async with login_turn(ledger_engine, ZERODHA):
            raise ValueError("the broker said no")
    async with login_turn(ledger_engine, ZERODHA, patience_s=0):
        pass
