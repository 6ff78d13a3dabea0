"""Everything that anybody may do, in any order, from two processes that are killed now and then."""

from __future__ import annotations

import pytest
from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from tests.property.machine import machine, walks
from tests.property.moves import MOVES
from tests.property.processes import fork_is_possible, zygote
from tests.property.walk import Tally

SEED = 20
EXAMPLES, LENGTH = 50, 60
LEAST_STEPS = 2_000


@pytest.mark.slow
@pytest.mark.skipif(not fork_is_possible(), reason="processes are forked")
@pytest.mark.scenario(
    "explained", "fence-rises", "soft-expiry", "late-result-kept", "key-replays", "kill-loses-nothing",
    "many-processes", "apply-once", "apply-resumes", "joint-state", "audit-chain", "audit-replays",
    "hand-out-order", "dependencies",
)  # fmt: skip
def test_after_every_step_of_a_walk_the_database_the_log_and_the_model_agree() -> None:
    tally = Tally()

    with zygote() as made:
        run_state_machine_as_test(seed(SEED)(machine(made, tally)), settings=walks(EXAMPLES, LENGTH))

    print(tally.told())
    assert tally.steps >= LEAST_STEPS
    never = {move.name for move in MOVES} - set(tally.rules)
    assert len(never) <= len(MOVES) // 10, f"walks that take so few kinds of steps show little: never {never}"
    assert tally.crashes > 0
