"""Who may let an order through: the gate, and the rules that choose it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workdocket.domain.errors import WorkError
from workdocket.domain.expression import Expression
from workdocket.domain.model import Actor, Approval, Decision, WorkOrder

STRICTNESS: tuple[Approval, ...] = ("auto", "manual", "four_eyes", "human")
"""From the least strict to the strictest. Of two gates together each condition holds: see :func:`both`."""

MOST_APPROVERS = 20
"""No gate asks for more: nobody knows a case, and a slip of the finger would stop everything."""


@dataclass(frozen=True, slots=True)
class Gate:
    """``rule`` is the name of the rule that chose it; ``apart``: who proposed or worked on it is kept out."""

    approval: Approval = "manual"
    quorum: int = 1
    rule: str | None = None
    apart: bool = False

    @classmethod
    def of(cls, approval: Approval, quorum: int, rule: str | None = None) -> Gate:
        return cls(approval, quorum, rule, approval == "four_eyes")


@dataclass(frozen=True, slots=True)
class Rule:
    """Where ``when`` is true of an order, ``gate`` is what it has to pass."""

    when: Expression
    gate: Gate


def first(rules: Iterable[Rule], facts: Mapping[str, Any]) -> Gate | None:
    """The gate of the first rule that is true."""
    return next((rule.gate for rule in rules if rule.when.holds(facts)), None)


def both(own: Gate, other: Gate) -> Gate:
    """What satisfies either: the stricter approval, the larger quorum, and kept apart where one of them asks for it."""
    joined = Gate(
        max(own.approval, other.approval, key=STRICTNESS.index),
        max(own.quorum, other.quorum),
        own.rule,
        own.apart or other.apart,
    )
    return joined if joined == own else replace(joined, rule=other.rule)


def votes_of(decisions: Sequence[Decision], kept_out: frozenset[str] = frozenset()) -> frozenset[str]:
    """Who approves of what the last approver saw: since the order was last sent back, under the same digest."""
    votes: list[Decision] = []
    for decision in reversed(decisions):
        if decision.verdict != "approve":
            break
        votes.append(decision)
    return frozenset(one.actor.id for one in votes if one.digest == votes[0].digest) - kept_out


def kept_out(gate: Gate, order: WorkOrder, involved: frozenset[str]) -> frozenset[str]:
    """The principals whose word does not count. ``involved`` are those who proposed it again or worked on it."""
    return frozenset({order.requested_by.id, *involved}) if gate.apart else frozenset()


def admit(gate: Gate, order: WorkOrder, actor: Actor, involved: frozenset[str]) -> None:
    """Refuses an approver that the gate does not let through."""
    if actor.type == "system" and gate.approval != "auto":
        raise WorkError("forbidden", f"the gate of {order.id} is {gate.approval}: no rule approves it", rule="auto")
    if gate.approval == "human" and actor.type != "user":
        raise WorkError(
            "forbidden",
            f"{order.id} asks for a person; an agent's call alone is not enough",
            hint=f"A person runs: workdocket approve {order.id}",
            rule="human",
        )
    excluded = kept_out(gate, order, involved)
    if actor.id in excluded:
        raise WorkError(
            "self_approval",
            f"{actor.id} proposed or worked on {order.id}",
            hint="Anybody with the reviewer role who neither proposed nor worked on it may approve.",
            excluded=sorted(excluded),
        )
