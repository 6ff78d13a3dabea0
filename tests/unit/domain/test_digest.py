from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tests.unit.domain.build import handed_in, order
from workdocket.domain.digest import INGREDIENTS, digest_of, moved
from workdocket.domain.gate import Gate
from workdocket.domain.model import WorkOrder

EDITS = 2_000
SHOWN = (
    order(handed_in(1, result={"title": "Hello"}), handed_in(2, result={"title": "World"}), edition="1-abc"),
    {"changes": [{"op": "added", "path": "/a", "before": None, "after": 1}]},
    Gate("manual", 2, "large"),
)
Shown = tuple[WorkOrder, Any, Gate]


def with_result(result: Any) -> WorkOrder:
    first, second = SHOWN[0].items
    return replace(SHOWN[0], items=(replace(first, result=result), second))


@pytest.mark.parametrize(
    "now, ingredient",
    [
        ((replace(SHOWN[0], payload={"page": "/b"}), *SHOWN[1:]), "payload"),
        ((replace(SHOWN[0], meta={"for": "Ada"}), *SHOWN[1:]), "payload"),
        ((with_result({"title": "Hellp"}), *SHOWN[1:]), "results"),
        ((replace(SHOWN[0], items=SHOWN[0].items[:1]), *SHOWN[1:]), "results"),
        ((SHOWN[0], {"changes": []}, SHOWN[2]), "preview"),
        ((SHOWN[0], None, SHOWN[2]), "preview"),
        ((replace(SHOWN[0], type_version=2), *SHOWN[1:]), "type"),
        ((replace(SHOWN[0], edition="1-abd"), *SHOWN[1:]), "type"),
        ((*SHOWN[:2], replace(SHOWN[2], approval="human")), "policy"),
        ((*SHOWN[:2], replace(SHOWN[2], quorum=1)), "policy"),
        ((*SHOWN[:2], replace(SHOWN[2], rule="small")), "policy"),
        ((*SHOWN[:2], replace(SHOWN[2], apart=True)), "policy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_digest_moves_with_each_ingredient_and_says_which(now: Shown, ingredient: str):
    before, after = digest_of(*SHOWN), digest_of(*now)

    assert before != after
    assert moved(before, after) == [ingredient]


def test_the_digest_does_not_move_with_what_no_approval_is_about():
    later = replace(SHOWN[0], state="approved", version=9, priority=3, changed_at=1)

    assert digest_of(later, *SHOWN[1:]) == digest_of(*SHOWN)


def test_an_item_that_the_order_goes_on_without_is_no_part_of_it():
    left_out = replace(SHOWN[0], items=(*SHOWN[0].items, handed_in(3, "rejected", result={"title": "no"})))

    assert digest_of(left_out, *SHOWN[1:]) == digest_of(*SHOWN)


@pytest.mark.parametrize("text", ["", "0" * 12, "abc-", "-" * 60])
def test_of_what_is_no_digest_everything_has_moved(text: str):
    assert moved(text, digest_of(*SHOWN)) == list(INGREDIENTS)


def test_the_hash_has_128_bits_and_the_whole_can_be_copied():
    whole, hints = digest_of(*SHOWN).split("-")

    assert len(whole) * 4 == 128
    assert len(hints) == 4 * len(INGREDIENTS)


def test_of_two_thousand_random_edits_none_keeps_the_digest():
    chance, seen = Random(), digest_of(*SHOWN)
    plain = {
        "payload": SHOWN[0].payload, "meta": SHOWN[0].meta, "result": SHOWN[0].items[0].result, "preview": SHOWN[1],
        "type": "page.fix", "version": 1, "edition": "1-abc", "approval": "manual", "quorum": 2, "rule": "large",
    }  # fmt: skip
    for _ in range(EDITS):
        now = edited(chance, deepcopy(plain))
        changed = replace(
            with_result(now["result"]),
            payload=now["payload"], meta=now["meta"], type=now["type"], type_version=now["version"],
            edition=now["edition"],
        )  # fmt: skip
        digest = digest_of(changed, now["preview"], Gate(now["approval"], now["quorum"], now["rule"]))
        assert (digest == seen) == (json.dumps(now) == json.dumps(plain)), now


def edited(chance: Random, value: Any) -> Any:
    """The value with one small change somewhere in it: a character, a digit, a type, a name, an entry more or less."""
    if isinstance(value, dict) and value:
        key = chance.choice(list(value))
        if set(value) & {"payload"} or chance.random() < 0.8:
            return {**value, key: edited(chance, value[key])}
        rest = {name: one for name, one in value.items() if name != key}
        return chance.choice([rest, {**rest, f"{key}x": value[key]}, {**value, "new": None}])
    if isinstance(value, list) and value:
        n = chance.randrange(len(value))
        grown = [*value, chance.choice([None, value[n]])]
        return chance.choice(
            [[*value[:n], *value[n + 1 :]], grown, [*value[:n], edited(chance, value[n]), *value[n + 1 :]]]
        )
    if isinstance(value, str) and value:
        n = chance.randrange(len(value))
        letter = chr(ord(value[n]) ^ 1 << chance.randrange(5))
        return chance.choice([value[:n] + letter + value[n + 1 :], value[:n] + value[n + 1 :], value + " "])
    if isinstance(value, bool) or not isinstance(value, int):
        return chance.choice([0, "", [], {}, True]) if value is None else None
    return chance.choice([value + 1, str(value), -value - 1, [value]])
