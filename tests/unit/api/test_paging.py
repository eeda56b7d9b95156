"""Cursors come back as they went out, and nothing else is taken for one."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.ledger.query_fills import FillKey
from alphapanda.ledger.query_orders import EventKey, OrderKey
from api.errors import CursorInvalid
from api.paging import decode_cursor, encode_cursor

moments = st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
names = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=50)


@given(moments, names)
def test_a_cursor_comes_back_as_it_went_out(at: datetime, order_id: str) -> None:
    key = OrderKey(at, order_id)
    cursor = encode_cursor(key)
    assert cursor is not None
    assert decode_cursor(cursor, OrderKey) == key
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=100))
def test_whatever_else_is_sent_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid):
        decode_cursor(text, OrderKey)


def encoded(json: str) -> str:
    return base64.urlsafe_b64encode(json.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "json",
    [
        "[]",
        "{}",
        '["OrderKey"]',
        '["OrderKey","2026-01-05T04:15:00Z"]',
        '["OrderKey","2026-01-05T04:15:00","paper:a"]',
        '["OrderKey","yesterday","paper:a"]',
        '["OrderKey","2026-01-05T04:15:00Z","a\\u0000"]',
        '["OrderKey","2026-01-05T04:15:00Z",7]',
        '["OrderKey","2026-01-05T04:15:00Z","paper:a","more"]',
    ],
)
def test_a_well_formed_cursor_with_a_wrong_key_is_refused(json: str) -> None:
    with pytest.raises(CursorInvalid):
        decode_cursor(encoded(json), OrderKey)


@pytest.mark.parametrize("seq", [-1, 2**31, 10**30])
def test_a_number_the_ledger_cannot_hold_is_refused(seq: int) -> None:
    with pytest.raises(CursorInvalid):
        decode_cursor(encoded(f'["EventKey",{seq}]'), EventKey)


def test_a_cursor_of_another_list_is_refused() -> None:
    cursor = encode_cursor(OrderKey(datetime(2026, 1, 5, tzinfo=UTC), "paper:a"))
    with pytest.raises(CursorInvalid):
        decode_cursor(cursor, FillKey)


def test_no_cursor_is_the_first_page() -> None:
    assert decode_cursor(None, OrderKey) is None
    assert encode_cursor(None) is None
