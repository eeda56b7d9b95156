"""Identifiers: made by one function, parsed by one total function, never ambiguous."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.ids import (
    BROKER_PATTERN,
    SIGNAL_ID_PATTERN,
    TAG_LENGTH,
    Broker,
    SignalId,
    StrategyId,
    broker_name,
    broker_task_queue,
    broker_workflow_id,
    derived_signal_id,
    next_tag,
    order_id,
    order_tag,
    order_workflow_id,
    parse_order_id,
    signal_id,
    tag_stem,
)

brokers = st.from_regex(BROKER_PATTERN, fullmatch=True).map(lambda name: Broker(name.rstrip("\n")))
signals = st.from_regex(SIGNAL_ID_PATTERN, fullmatch=True).map(lambda name: SignalId(name.rstrip("\n")))


@given(brokers, signals)
def test_an_order_id_is_parsed_into_what_it_was_made_of(broker: Broker, signal: SignalId) -> None:
    assert parse_order_id(order_id(broker, signal)) == (broker, signal)


@given(st.tuples(brokers, signals), st.tuples(brokers, signals))
def test_different_orders_have_different_ids_and_tags(
    one: tuple[Broker, SignalId], other: tuple[Broker, SignalId]
) -> None:
    same = one == other
    assert (order_id(*one) == order_id(*other)) == same
    assert (order_workflow_id(*one) == order_workflow_id(*other)) == same
    assert (order_tag(order_workflow_id(*one)) == order_tag(order_workflow_id(*other))) == same


@given(brokers, signals)
def test_a_tag_fits_the_broker(broker: Broker, signal: SignalId) -> None:
    tag = order_tag(order_workflow_id(broker, signal))
    assert len(tag) == TAG_LENGTH == 20
    assert set(tag) <= set(string.ascii_uppercase + string.digits)


def test_a_tag_never_changes_between_versions() -> None:
    # Orders placed by an earlier version are found by it: this value is a promise.
    assert order_tag(order_workflow_id(Broker("paper"), SignalId("a"))) == "MEOILFOOXVPTXF0WVA3X"


@given(st.text(max_size=140))
def test_parsing_is_total(value: str) -> None:
    try:
        broker, signal = parse_order_id(value)
    except InvalidValueError as error:
        assert error.next_action
    else:
        assert order_id(broker, signal) == value


@pytest.mark.parametrize("value", ["", "a", "Paper:x", "paper:", ":x", "paper: x", "paper:x\n", "pa per:x", "paper:é"])
def test_what_is_no_order_id_is_refused(value: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_order_id(value)


@pytest.mark.parametrize("value", ["", "1a", "A", "a" * 33, "a b", "a\n"])
def test_what_is_no_broker_name_is_refused(value: str) -> None:
    with pytest.raises(InvalidValueError, match="broker"):
        broker_name(value)


@pytest.mark.parametrize("value", ["", "-a", "a" * 101, "a b", "a/b", "a\n"])
def test_what_is_no_signal_id_is_refused(value: str) -> None:
    with pytest.raises(InvalidValueError, match="signal_id"):
        signal_id(value)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True), st.lists(st.text(max_size=20), max_size=4))
def test_a_derived_signal_id_is_valid_and_depends_on_every_part(strategy: str, parts: list[str]) -> None:
    derived = derived_signal_id(StrategyId(strategy), *parts)
    assert signal_id(derived) == derived == derived_signal_id(StrategyId(strategy), *parts)
    assert derived != derived_signal_id(StrategyId(strategy), *parts, "more")


def test_each_broker_has_a_queue_and_a_workflow_of_its_own() -> None:
    assert broker_task_queue(Broker("paper")) == "broker-paper"
    assert broker_workflow_id(Broker("paper")) == "broker:paper"


@given(brokers, signals)
def test_the_tags_of_a_replaced_order_differ_and_share_their_stem(broker: Broker, signal: SignalId) -> None:
    tags = [order_tag(order_workflow_id(broker, signal))]
    for _ in range(40):
        tags.append(next_tag(tags[-1]))
    assert len(set(tags)) == len(tags)
    assert {tag_stem(tag) for tag in tags} == {tag_stem(tags[0])}
    assert {len(tag) for tag in tags} == {TAG_LENGTH}
    assert set("".join(tags)) <= set(string.ascii_uppercase + string.digits)
