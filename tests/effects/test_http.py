"""A request that is made once, at a real service that answers badly."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.support.built_in import Attempt
from tests.support.payments import IMPATIENT, Payments, payments
from workdocket import Refused
from workdocket.effects.http import once

PAYMENT = {"amount": 10}


def pay(service: Payments, attempt: int = 1, **more: Any) -> Any:
    return once(Attempt("key", attempt), service.send, service.find, **more)


@pytest.mark.scenario("effect-http")
def test_a_request_that_is_answered_is_sent_once_with_its_key_and_nothing_is_asked() -> None:
    with payments() as service:
        assert pay(service) == PAYMENT

    assert service.made == [("key", PAYMENT)]
    assert service.asked == []


@pytest.mark.scenario("effect-http")
@pytest.mark.parametrize("manner", ["lost", "broken"])
def test_what_was_made_without_a_good_answer_is_found_and_not_sent_again(manner: str) -> None:
    with payments(manner) as service:
        assert pay(service) == PAYMENT

    assert service.made == [("key", PAYMENT)]


@pytest.mark.scenario("effect-http")
def test_what_was_made_without_an_answer_in_time_is_found_and_not_sent_again() -> None:
    with payments("mute") as service:
        assert once(Attempt("key"), partial(service.send, timeout=IMPATIENT), service.find) == PAYMENT

    assert service.made == [("key", PAYMENT)]


@pytest.mark.scenario("effect-http")
def test_what_was_not_made_is_sent_again_by_the_next_attempt_only() -> None:
    with payments("away") as service:
        # given
        with pytest.raises(ConnectionError):
            pay(service)
        assert service.made == []

        # when
        answer = pay(service, attempt=2)

    # then
    assert answer == PAYMENT
    assert service.made == [("key", PAYMENT)]
    assert service.asked == ["key", "key"]


@pytest.mark.scenario("effect-http", "apply-once")
def test_an_attempt_after_a_crash_asks_before_it_sends() -> None:
    with payments() as service:
        pay(service)  # and the process dies before it is recorded

        assert pay(service, attempt=2) == PAYMENT

    assert service.made == [("key", PAYMENT)]
    assert service.asked == ["key"]


@pytest.mark.scenario("effect-http")
def test_a_refusal_by_the_service_is_passed_on_as_it_came() -> None:
    with payments("refused") as service, pytest.raises(HTTPError) as refusal:
        pay(service)

    assert refusal.value.code == 422
    refusal.value.close()
    assert service.made == []


def test_a_sure_no_is_not_asked_about() -> None:
    def no(headers: Any) -> Any:
        raise Refused("they do not sell to us")

    with payments() as service, pytest.raises(Refused):
        once(Attempt("key"), no, service.find)

    assert service.asked == []


@pytest.mark.scenario("effect-http")
def test_where_the_service_cannot_tell_nothing_is_sent() -> None:
    def cannot_tell(key: str) -> Any:
        raise TimeoutError("no answer")

    with payments() as service, pytest.raises(TimeoutError):
        once(Attempt("key", attempt=2), service.send, cannot_tell)

    assert service.made == []


@pytest.mark.scenario("effect-http")
def test_two_requests_of_one_apply_have_keys_of_their_own() -> None:
    with payments() as service:
        pay(service, step="deposit")
        pay(service, step="rest")
        pay(service, attempt=2, step="rest")

    assert service.made == [("key-deposit", PAYMENT), ("key-rest", PAYMENT)]
