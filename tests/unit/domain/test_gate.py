from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.build import ADA, RITA, ROY, order
from workdocket.domain.errors import WorkError
from workdocket.domain.expression import Expression
from workdocket.domain.gate import STRICTNESS, Gate, Rule, admit, both, first

GATES = st.builds(Gate.of, st.sampled_from(STRICTNESS), st.integers(1, 3))
ACTORS = [ADA, RITA, ROY]
ADA_WORKED = frozenset({"ada"})


def test_the_first_rule_that_is_true_chooses():
    rules = [
        Rule(Expression("priority > 5"), Gate.of("human", 1, "urgent")),
        Rule(Expression("priority > 1"), Gate.of("four_eyes", 1, "usual")),
        Rule(Expression("true"), Gate.of("auto", 1, "rest")),
    ]

    assert [gate.rule for n in (9, 3, 0) if (gate := first(rules, {"priority": n}))] == ["urgent", "usual", "rest"]
    assert first(rules[:2], {}) is None


@pytest.mark.parametrize(
    "own, other, joined",
    [
        (Gate.of("auto", 1, "a"), Gate.of("manual", 1, "b"), Gate("manual", 1, "b")),
        (Gate.of("manual", 3, "a"), Gate.of("auto", 1, "b"), Gate("manual", 3, "a")),
        (Gate.of("manual", 1, "a"), Gate.of("manual", 2, "b"), Gate("manual", 2, "b")),
        (Gate.of("four_eyes", 1, "a"), Gate.of("human", 1, "b"), Gate("human", 1, "b", apart=True)),
        (Gate.of("human", 1, "a"), Gate.of("four_eyes", 1, "b"), Gate("human", 1, "b", apart=True)),
    ],
)
def test_two_gates_together_ask_for_all_that_either_asks_for(own: Gate, other: Gate, joined: Gate):
    assert both(own, other) == joined


@given(GATES, GATES, st.sampled_from(ACTORS))
def test_whoever_passes_two_gates_together_passes_each(one: Gate, other: Gate, actor):
    def passes(gate: Gate) -> bool:
        try:
            admit(gate, order(), actor, ADA_WORKED)
        except WorkError:
            return False
        return True

    joined = both(one, other)
    assert not passes(joined) or (passes(one) and passes(other))
    assert joined.quorum == max(one.quorum, other.quorum)
