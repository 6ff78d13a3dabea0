"""Walks as hypothesis makes them: it chooses each step. A walk that goes wrong is shown as it was, not shortened."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.property.choice import Choice
from tests.property.moves import MOVES
from tests.property.processes import Zygote
from tests.property.walk import Tally, Walk

LAST_LINES = 60


class Machine(RuleBasedStateMachine):
    """One rule, since the weights are ours: which moves are possible changes with every step.

    A step is one number, and all its chances follow from that: whole steps are what can be left out of a walk.
    """

    zygote: Zygote
    tally: Tally

    def __init__(self) -> None:
        super().__init__()
        self.walk = Walk(self.zygote, self.tally)
        self.broken = False

    @rule(chance=st.integers(0, 2**16 - 1))
    def step(self, chance: int) -> None:
        random = Random(chance)
        possible = [move for move in MOVES if move.possible(self.walk)]
        [chosen] = random.choices(possible, [move.weight for move in possible])
        self.tally.rules[chosen.name] += 1
        try:
            chosen.make(Choice(random, self.walk))
        except Exception as error:
            self.broken = True
            error.add_note("The walk:\n" + "\n".join(self.walk.script[-LAST_LINES:]))
            raise

    def teardown(self) -> None:
        try:
            if not self.broken:
                self.walk.ends_well()
        finally:
            self.walk.close()


def machine(zygote: Zygote, tally: Tally) -> type[Machine]:
    return type("Walks", (Machine,), {"zygote": zygote, "tally": tally})


def walks(examples: int, steps: int) -> settings:
    """So many walks of at most so many steps each."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        print_blob=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
