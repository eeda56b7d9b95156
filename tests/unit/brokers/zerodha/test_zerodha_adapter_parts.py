"""Coalesced reads, login addresses, postbacks, settings that cannot work, and what is imported when."""

import asyncio
import subprocess
import sys
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

import pytest

from alphapanda.brokers.protocol import BrokerUnavailable
from alphapanda.brokers.zerodha.account import plain_root
from alphapanda.brokers.zerodha.coalesced import Coalesced
from alphapanda.brokers.zerodha.login import is_genuine_postback, login_url
from alphapanda.brokers.zerodha.outcomes import ROWS, outcome_table
from alphapanda.brokers.zerodha.penalties import LONGEST_PAUSE_S, Penalties
from alphapanda.settings import SettingsError, ZerodhaSettings

SETTINGS = ZerodhaSettings(api_key="key", api_secret="secret")


async def test_all_who_wait_share_a_reading_that_began_after_they_asked() -> None:
    gate = asyncio.Event()
    begun: list[int] = []

    async def read() -> int:
        begun.append(len(begun))
        reading = begun[-1]
        await gate.wait()
        return reading

    shared = Coalesced(read)
    first = asyncio.create_task(shared.get())
    while not begun:
        await asyncio.sleep(0)
    later = [asyncio.create_task(shared.get()) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    assert await first == 0
    assert await asyncio.gather(*later) == [1] * 5
    assert begun == [0, 1]


async def test_a_failed_reading_fails_for_those_who_wait_and_for_nobody_later() -> None:
    answers: list[int | Exception] = [7, ValueError("away")]

    async def read() -> int:
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    shared = Coalesced(read)
    failed = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
    assert [str(each) for each in failed] == ["away", "away"]
    assert await shared.get() == 7


async def test_a_reader_who_leaves_takes_nothing_from_the_others() -> None:
    gate = asyncio.Event()

    async def read() -> int:
        await gate.wait()
        return 1

    shared = Coalesced(read)
    leaving, staying = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    leaving.cancel()
    gate.set()
    assert await staying == 1
    await shared.close()


async def test_closing_ends_a_reading_under_way() -> None:
    async def read() -> int:
        await asyncio.Event().wait()
        return 1

    shared = Coalesced(read)
    waiting = asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    await shared.close()
    with pytest.raises(BrokerUnavailable):
        await waiting


def test_the_login_page_is_asked_to_return_the_state() -> None:
    url = urlsplit(login_url(SETTINGS, state="a b&c=d"))
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://kite.zerodha.com/connect/login"
    query = parse_qs(url.query)
    assert (query["v"], query["api_key"]) == (["3"], ["key"])
    assert parse_qs(query["redirect_params"][0]) == {"state": ["a b&c=d"]}


def test_a_postback_is_believed_by_its_checksum_alone() -> None:
    payload = {"order_id": "220303000308932", "order_timestamp": "2022-03-03 09:24:25", "status": "COMPLETE"}
    genuine = sha256(b"2203030003089322022-03-03 09:24:25secret").hexdigest()
    assert is_genuine_postback({**payload, "checksum": genuine}, SETTINGS)
    assert is_genuine_postback({**payload, "checksum": genuine.upper()}, SETTINGS)
    for checksum in ("", "0" * 64, genuine[:-1], None, 7, "ü"):
        assert not is_genuine_postback({**payload, "checksum": checksum}, SETTINGS)
    assert not is_genuine_postback({**payload, "order_id": "1", "checksum": genuine}, SETTINGS)
    assert not is_genuine_postback({}, SETTINGS)


@pytest.mark.parametrize("root", ["https://api.kite.trade", "https://api.kite.trade/", "http://127.0.0.1:8080"])
def test_a_plain_root_is_taken(root: str) -> None:
    assert plain_root(root) == root.rstrip("/")


@pytest.mark.parametrize(
    "root", ["https://api.kite.trade/v3", "https://h?x=1", "https://h/#x", "api.kite.trade", "ftp://h", "", "https://"]
)
def test_a_root_that_kiteconnect_would_not_use_as_given_is_refused(root: str) -> None:
    with pytest.raises(SettingsError, match="ALPHAPANDA_ZERODHA__API_ROOT"):
        plain_root(root)


@pytest.mark.parametrize("missing", ["api_key", "api_secret"])
def test_missing_credentials_are_named(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"ALPHAPANDA_ZERODHA__{missing.upper()}"):
        login_url(SETTINGS.model_copy(update={missing: None}), state="x")


def test_the_table_of_outcomes_documents_every_row() -> None:
    lines = outcome_table().splitlines()[2:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == [row.name for row in ROWS]


def test_the_adapter_imports_no_network_library_before_its_first_call() -> None:
    """A paper desk on the same machine pays nothing for Zerodha, and starts no reactor."""
    check = (
        "import sys; import alphapanda.brokers.zerodha.adapter; "
        "found = {'kiteconnect', 'twisted.internet.reactor', 'autobahn', 'requests', 'urllib3'} & set(sys.modules); "
        "sys.exit(f'imported: {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pauses_grow_while_the_broker_goes_on_refusing_and_begin_anew_once_it_answers() -> None:
    penalties, at, pauses = Penalties(), 100.0, []
    for _ in range(2000):  # hours of it
        pauses.append(penalties.refused(sent_at=at, at=at, asked_s=1.0))
        at += pauses[-1]
    assert pauses[:5] == [1.0, 2.0, 4.0, 8.0, LONGEST_PAUSE_S]
    assert set(pauses[5:]) == {LONGEST_PAUSE_S}
    penalties.answered(sent_at=at)
    assert penalties.refused(sent_at=at, at=at, asked_s=1.0) == 1.0
    assert penalties.refused(sent_at=at + 1, at=at + 1, asked_s=300.0) == 300.0


def test_calls_refused_together_count_as_one_refusal() -> None:
    penalties = Penalties()
    assert {penalties.refused(sent_at=100.0, at=100.1, asked_s=1.0) for _ in range(10)} == {1.0}
    penalties.answered(sent_at=100.0)  # sent before the pause: it says nothing of it
    assert penalties.refused(sent_at=101.2, at=101.3, asked_s=1.0) == 2.0
