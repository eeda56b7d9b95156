"""Deterministic identifiers. Each is made by one function and parsed by one total function.

An id is a label, never a data source: broker and signal travel as fields of their own beside it.
"""

import hashlib
import re
from typing import NewType
from uuid import UUID, uuid5

from alphapanda.domain.errors import InvalidValueError

Broker = NewType("Broker", str)
SignalId = NewType("SignalId", str)
OrderId = NewType("OrderId", str)
StrategyId = NewType("StrategyId", str)
Tag = NewType("Tag", str)
WorkflowId = NewType("WorkflowId", str)

BROKER_PATTERN = r"^[a-z][a-z0-9_-]{0,31}$"
SIGNAL_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,99}$"
STRATEGY_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

EXTERNAL = StrategyId("EXTERNAL")
"""Whose positions and fills are that nobody here ordered: by hand, by another program, by the broker's risk desk."""

TAG_LENGTH = 20
"""Kite refuses tags longer than 20 characters (KITE.md, Orders)."""

_TAG_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SIGNAL_NAMESPACE = UUID("5b1d9f0e-6a0c-5d0e-9a55-a1fa9a0da000")


def broker_name(value: str) -> Broker:
    if not re.fullmatch(BROKER_PATTERN, value):
        raise InvalidValueError(f"broker: {value!r} must be 1-32 of a-z, 0-9, '_' or '-', starting with a letter")
    return Broker(value)


def signal_id(value: str) -> SignalId:
    if not re.fullmatch(SIGNAL_ID_PATTERN, value):
        raise InvalidValueError(
            f"signal_id: {value!r} must be 1-100 of letters, digits, '.', '_', ':', '~' or '-', "
            "starting with a letter or digit"
        )
    return SignalId(value)


def order_id(broker: Broker, signal: SignalId) -> OrderId:
    return OrderId(f"{broker}:{signal}")


def parse_order_id(value: str) -> tuple[Broker, SignalId]:
    """The broker and signal of `{broker}:{signal_id}`. Raises InvalidValueError on anything else."""
    broker, separator, signal = value.partition(":")
    if not separator:
        raise InvalidValueError(f"order_id: {value!r} must look like 'broker:signal_id'")
    return broker_name(broker), signal_id(signal)


def order_workflow_id(broker: Broker, signal: SignalId) -> WorkflowId:
    return WorkflowId(f"order:{broker}:{signal}")


def broker_workflow_id(broker: Broker) -> WorkflowId:
    return WorkflowId(f"broker:{broker}")


def broker_task_queue(broker: Broker) -> str:
    return f"broker-{broker}"


ORDERS_TASK_QUEUE = "orders"


def order_tag(workflow: WorkflowId) -> Tag:
    """The broker-visible mark of an order: 20 upper-case alphanumerics derived from its workflow id alone.

    36^20 is about 2^103, so two orders of one account never share a tag in practice; a retry always has the same.
    """
    number = int.from_bytes(hashlib.sha256(workflow.encode()).digest(), "big")
    characters: list[str] = []
    for _ in range(TAG_LENGTH):
        number, digit = divmod(number, len(_TAG_ALPHABET))
        characters.append(_TAG_ALPHABET[digit])
    return Tag("".join(characters))


_STEM = TAG_LENGTH - 2
_GENERATIONS = len(_TAG_ALPHABET) ** 2


def tag_stem(tag: Tag) -> str:
    """What the tags of one order have in common, however often it was replaced at the broker."""
    return tag[:_STEM]


def next_tag(tag: Tag) -> Tag:
    """The tag of the order that takes the place of the one with `tag`: the same stem, and the next ending.

    93 bits of the stem remain to tell orders apart; the endings repeat after 1,296 replacements.
    """
    tens, ones = (_TAG_ALPHABET.index(character) for character in tag[_STEM:])
    ending = (tens * len(_TAG_ALPHABET) + ones + 1) % _GENERATIONS
    return Tag(tag_stem(tag) + _TAG_ALPHABET[ending // len(_TAG_ALPHABET)] + _TAG_ALPHABET[ending % len(_TAG_ALPHABET)])


def derived_signal_id(strategy: StrategyId, *parts: str) -> SignalId:
    """The id of a strategy's signal, from what caused it (instrument, event time, side, ordinal).

    Two feed workers that see the same input derive the same id, so the signal makes one order.
    """
    name = "\x1f".join((strategy, *parts))
    return SignalId(f"{strategy[:40]}-{uuid5(_SIGNAL_NAMESPACE, name).hex}")
