"""How many calls a minute: a bucket for each principal that fills evenly, and is forgotten when it is full."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdocket.surfaces import pace
from workdocket.surfaces.pace import Pace


class Hand:
    """Seconds, as the test moves them."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.mark.scenario("calls-per-minute")
def test_a_minutes_calls_may_come_at_once_and_the_next_is_told_how_long_to_wait(hand: Hand) -> None:
    limit = Pace(6, hand)

    answers = [limit.take("ann") for _ in range(7)]

    assert answers == [None] * 6 + [pytest.approx(10)]


@pytest.mark.scenario("calls-per-minute")
def test_who_waits_as_long_as_told_gets_one_call_and_then_waits_again(hand: Hand) -> None:
    limit = Pace(6, hand)
    while (wait := limit.take("ann")) is None:
        pass

    hand.at += wait

    assert limit.take("ann") is None
    assert limit.take("ann") == pytest.approx(10)


@pytest.mark.scenario("calls-per-minute")
def test_refused_calls_do_not_lengthen_the_wait(hand: Hand) -> None:
    limit = Pace(1, hand)
    limit.take("ann")

    waits = [limit.take("ann") for _ in range(100)]

    assert waits == [pytest.approx(60)] * 100


@pytest.mark.scenario("calls-per-minute")
def test_one_principal_does_not_use_up_the_calls_of_another(hand: Hand) -> None:
    limit = Pace(1, hand)

    assert [limit.take(name) is None for name in ("ann", "ann", "bob")] == [True, False, True]


@pytest.mark.scenario("calls-per-minute")
def test_without_a_limit_nothing_is_counted(hand: Hand) -> None:
    limit = Pace(None, hand)

    assert {limit.take("ann") for _ in range(1000)} == {None}


@pytest.mark.scenario("calls-per-minute")
def test_who_was_silent_for_a_minute_is_forgotten(hand: Hand) -> None:
    limit = Pace(60, hand)
    for n in range(500):
        limit.take(f"agent-{n}")

    hand.at += 60
    limit.take("ann")

    assert list(limit._full_at) == ["ann"]


@pytest.mark.scenario("calls-per-minute")
def test_one_that_never_is_silent_keeps_nobody_else_in_memory(hand: Hand) -> None:
    limit = Pace(60, hand)
    for name in ("ann", "bob", "eve"):
        limit.take(name)

    for _ in range(2):
        hand.at += 30
        limit.take("ann")

    assert list(limit._full_at) == ["ann"]


@pytest.mark.scenario("calls-per-minute")
def test_no_number_of_principals_takes_more_than_so_much_memory(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MOST_PRINCIPALS", 10)
    limit = Pace(1, hand)

    for n in range(1000):
        limit.take(f"agent-{n}")

    assert len(limit._full_at) == 10
    assert limit.take("agent-999") is not None


@pytest.mark.scenario("calls-per-minute")
@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=300))
def test_in_no_minute_are_more_than_two_minutes_worth_let_through(per_minute: int, pauses: list[float]) -> None:
    hand, passed = Hand(), []
    limit = Pace(per_minute, hand)
    for pause in pauses:
        hand.at += pause
        if limit.take("ann") is None:
            passed.append(hand.at)

    for start in passed:
        within = [at for at in passed if start <= at < start + 60]
        assert len(within) <= 2 * per_minute
