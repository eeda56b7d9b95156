"""The admin token: given by a setting, or made once and kept from others."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from alphapanda.credentials import admin_token, admin_token_file
from alphapanda.settings import Settings, SettingsError


def settings(data_dir: Path, **others: Any) -> Settings:
    return Settings.load(_env_file=None, data_dir=data_dir, **others)


def test_a_token_is_made_once_and_read_back(tmp_path: Path) -> None:
    where = settings(tmp_path / "new")
    token = admin_token(where)
    assert len(token) >= 32
    assert admin_token(where) == token


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    where = settings(tmp_path / "new")
    admin_token(where)
    assert stat.S_IMODE(admin_token_file(where).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_file_left_open_to_others_is_closed(tmp_path: Path) -> None:
    where = settings(tmp_path)
    admin_token(where)
    admin_token_file(where).chmod(0o644)
    admin_token(where)
    assert stat.S_IMODE(admin_token_file(where).stat().st_mode) == 0o600


def test_processes_that_race_read_one_token(tmp_path: Path) -> None:
    where = settings(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: admin_token(where), range(32)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["admin_token"]


def test_the_setting_wins_and_makes_no_file(tmp_path: Path) -> None:
    where = settings(tmp_path, api={"admin_token": "given-by-the-setting"})
    assert admin_token(where) == "given-by-the-setting"
    assert not admin_token_file(where).exists()


@pytest.mark.parametrize("given", [{}, {"admin_token": ""}, {"admin_token": "  "}])
def test_production_refuses_to_make_one(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="ALPHAPANDA_API__ADMIN_TOKEN"):
        admin_token(settings(tmp_path, environment="production", api=given))
    assert list(tmp_path.iterdir()) == []


def test_production_refuses_a_short_one_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="16 characters") as refused:
        admin_token(settings(tmp_path, environment="production", api={"admin_token": "hunter2"}))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("given", ["two words", "caf\xe9", "line\nbreak"])
def test_a_token_that_cannot_travel_in_a_header_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(SettingsError, match="printable ASCII"):
        admin_token(settings(tmp_path, api={"admin_token": given}))


def test_an_empty_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "admin_token").touch(mode=0o600)
    with pytest.raises(SettingsError, match="is empty") as refused:
        admin_token(settings(tmp_path))
    assert "Delete it" in refused.value.next_action


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match="cannot be used"):
        admin_token(settings(tmp_path / "file" / "data"))
