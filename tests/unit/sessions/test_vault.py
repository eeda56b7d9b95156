"""The vault: what it seals it opens again, for the same broker, with the same key, and for nobody else."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.ids import Broker
from alphapanda.sessions.vault import SealBroken, Vault, token_key_file
from alphapanda.settings import Settings, SettingsError

ZERODHA, PAPER = Broker("zerodha"), Broker("paper")
KEY = base64.b64encode(bytes(range(32))).decode()


def settings(data_dir: Path, **zerodha: Any) -> Settings:
    return Settings.load(_env_file=None, data_dir=data_dir, zerodha=zerodha)


@given(st.text(max_size=200))
def test_what_is_sealed_opens_again(token: str) -> None:
    vault = Vault(bytes(32))
    assert vault.unseal(ZERODHA, vault.seal(ZERODHA, token)) == token


def test_one_token_is_sealed_differently_each_time_and_never_shows() -> None:
    vault = Vault(bytes(32))
    first, second = vault.seal(ZERODHA, "the-access-token"), vault.seal(ZERODHA, "the-access-token")
    assert first != second
    assert b"the-access-token" not in first


def test_a_token_of_one_broker_does_not_open_as_anothers() -> None:
    vault = Vault(bytes(32))
    with pytest.raises(SealBroken, match="paper"):
        vault.unseal(PAPER, vault.seal(ZERODHA, "token"))


def test_another_key_does_not_open_it_and_says_what_to_do() -> None:
    sealed = Vault(bytes(32)).seal(ZERODHA, "the-access-token")
    with pytest.raises(SealBroken) as broken:
        Vault(b"\x01" * 32).unseal(ZERODHA, sealed)
    assert "Log in again" in broken.value.next_action
    assert "the-access-token" not in str(broken.value)


@given(st.data())
def test_a_seal_that_was_touched_anywhere_does_not_open(data: st.DataObject) -> None:
    vault = Vault(bytes(32))
    sealed = bytearray(vault.seal(ZERODHA, "token"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        vault.unseal(ZERODHA, bytes(sealed))


@pytest.mark.parametrize("length", [0, 1, 5, 13, 28])
def test_a_seal_that_was_cut_does_not_open(length: int) -> None:
    vault = Vault(bytes(32))
    with pytest.raises(SealBroken):
        vault.unseal(ZERODHA, vault.seal(ZERODHA, "token")[:length])


@pytest.mark.parametrize("key", [KEY, KEY.rstrip("="), base64.urlsafe_b64encode(b"\xff" * 32).decode()])
def test_the_key_of_the_setting_is_used_and_no_file_made(tmp_path: Path, key: str) -> None:
    where = settings(tmp_path, token_key=key)
    sealed = Vault.open(where).seal(ZERODHA, "token")
    assert Vault.open(where).unseal(ZERODHA, sealed) == "token"
    assert not token_key_file(where).exists()


@pytest.mark.parametrize("key", ["hunter2", base64.b64encode(bytes(16)).decode(), "é" * 44, KEY + "AAAA"])
def test_a_bad_key_names_the_variable_and_is_not_repeated(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match="ALPHAPANDA_ZERODHA__TOKEN_KEY: must be 32 bytes in base64") as refused:
        Vault.open(settings(tmp_path, token_key=key))
    assert key not in str(refused.value)


def test_without_a_setting_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    where = settings(tmp_path / "new")
    sealed = Vault.open(where).seal(ZERODHA, "token")
    assert Vault.open(where).unseal(ZERODHA, sealed) == "token"
    assert stat.S_IMODE(token_key_file(where).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_processes_that_race_make_one_key(tmp_path: Path) -> None:
    where = settings(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda _: Vault.open(where).seal(ZERODHA, "token"), range(32)))
    assert {Vault.open(where).unseal(ZERODHA, each) for each in sealed} == {"token"}
    assert [path.name for path in tmp_path.iterdir()] == ["token.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    where = settings(tmp_path)
    Vault.open(where)
    token_key_file(where).chmod(mode)
    with pytest.raises(SettingsError, match="can be read by others") as refused:
        Vault.open(where)
    assert "Delete it" in refused.value.next_action


@pytest.mark.parametrize("content", ["", "not a key", "\xff\xfe"])
def test_a_spoiled_key_file_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    where = settings(tmp_path)
    token_key_file(where).touch(mode=0o600)
    token_key_file(where).write_text(content, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"token\.key: must be 32 bytes") as refused:
        Vault.open(where)
    assert "Delete" in refused.value.next_action


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match="cannot be used"):
        Vault.open(settings(tmp_path / "file" / "data"))


def test_a_vault_does_not_show_its_key() -> None:
    assert repr(Vault(bytes(32))) == "Vault(***)"
