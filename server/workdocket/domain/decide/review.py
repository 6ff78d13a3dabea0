"""Deciding on what was handed in."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import takewhile
from typing import Any, Literal

from workdocket.domain.decide.hold import end_lease
from workdocket.domain.decide.repeat import about, enough, rejected_alike, repeated_rejection
from workdocket.domain.draft import Draft
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.machine import ORDER, step
from workdocket.domain.model import Actor, Change, Decision, Effect, Policy, WorkItem, WorkOrder, iso


def approve(
    order: WorkOrder,
    actor: Actor,
    now: int,
    *,
    policy: Policy,
    digest: str,
    findings: Sequence[Finding],
    workers: frozenset[str],
    earlier: Sequence[Decision],
    comment: str | None,
    rule: str | None = None,
) -> Change:
    """The decision recorded; with the last one that the gate asks for, the order approved and its effect due."""
    step(ORDER, order.id, order.state, "approve")
    _gate(order, actor, policy, workers)
    if findings:
        raise WorkError("not_ready", f"{order.id} is not fit for approval", findings=findings)
    draft = Draft(now, actor)
    decision = Decision(order.id, len(earlier) + 1, "approve", actor, now, digest, comment)
    _record(draft, decision, rule)
    if len(votes_of([*earlier, decision])) < policy.quorum:
        draft.keep_order(order)
        return draft.change()
    approved = draft.move_order(order, "approve", data={"digest": digest}, error=None)
    for item in order.items:
        if item.state == "submitted":
            draft.move_item(item, "accept")
    draft.effects.append(apply_effect(approved, now, digest))
    return draft.change()


def auto_deferred(order: WorkOrder, effect: Effect, now: int, actor: Actor, findings: Sequence[Finding]) -> Change:
    """Automatic approval left to a person, and why."""
    draft = Draft(now, actor)
    draft.effects.append(effect)
    if findings:
        found = [finding.as_dict() for finding in findings]
        draft.note("approval.deferred", order.id, message="left to a reviewer", data={"findings": found})
    return draft.change()


def apply_effect(order: WorkOrder, now: int, digest: str | None) -> Effect:
    data = {} if digest is None else {"digest": digest}
    return Effect(f"{order.id}:apply:{order.version}", "apply", order.id, now, data)


def votes_of(decisions: Sequence[Decision]) -> frozenset[str]:
    """Who approves of what the last approver saw: since the order was last sent back, under the same digest."""
    since = list(takewhile(lambda decision: decision.verdict == "approve", reversed(decisions)))
    return frozenset(decision.actor.id for decision in since if decision.digest == since[0].digest)


def reject(
    order: WorkOrder,
    actor: Actor,
    now: int,
    *,
    policy: Policy,
    errors: Sequence[dict[str, Any]],
    rework: bool,
    earlier: Sequence[Decision],
    comment: str | None,
    refused: dict[str, str],
) -> Change:
    """The order refused for good, or its named items sent back. ``refused`` maps items to their results' checksums."""
    draft = Draft(now, actor)
    verdict: Literal["rework", "reject"] = "rework" if rework else "reject"
    step(ORDER, order.id, order.state, verdict)
    meant = _meant(order, errors)
    if rework:
        _send_back(draft, order, meant, policy, errors, earlier, refused)
    else:
        _refuse(draft, order, errors, comment)
    _record(draft, Decision(order.id, len(earlier) + 1, verdict, actor, now, None, comment, tuple(errors)), None)
    return draft.change()


def waits(item: WorkItem, unmet: Container[str]) -> tuple[str, ...]:
    """What an item that is queued again waits for: orders as before, and of the items it needs those in ``unmet``."""
    orders = (other for other in item.waiting_for if other not in item.after)
    return (*orders, *(other for other in item.after if other in unmet))


def _meant(order: WorkOrder, errors: Sequence[dict[str, Any]]) -> list[WorkItem]:
    """The items that the errors name; all of them when they name none."""
    named = {error["item_id"] for error in errors if error.get("item_id")}
    unknown = sorted(named - {item.id for item in order.items})
    if unknown:
        raise WorkError("not_found", f"{order.id} has no item {', '.join(unknown)}")
    return [item for item in order.items if about(item, errors)]


def _refuse(draft: Draft, order: WorkOrder, errors: Sequence[dict[str, Any]], comment: str | None) -> None:
    for item in order.items:
        if item.state != "failed":
            draft.move_item(item, "reject", lease=end_lease(draft, item, "rejected"), due_at=None)
    error = {"code": "rejected", "message": errors[0]["message"], "at": iso(draft.now), "errors": list(errors)}
    draft.move_order(order, "reject", message=comment, data={"errors": list(errors)}, error=error)


def _send_back(
    draft: Draft,
    order: WorkOrder,
    back: Sequence[WorkItem],
    policy: Policy,
    errors: Sequence[dict[str, Any]],
    earlier: Sequence[Decision],
    refused: dict[str, str],
) -> None:
    """Each item queued with its reasons, or stopped where the same ones came too often."""
    if any(item.state == "failed" for item in order.items):
        raise WorkError(
            "illegal_transition",
            f"{order.id} failed at its items, not at its review; rework is not possible from there",
            hint="Use retry to queue the failed items again.",
            details={
                "from": order.state,
                "command": "reject with rework",
                "allowed": ["cancel", "dead_letter", "retry"],
            },
        )
    ids = [item.id for item in back]
    for item in back:
        reasons = _reasons(draft, item, errors)
        alike = rejected_alike(item, errors, earlier)
        news: dict[str, Any] = {
            "data": {"errors": reasons},
            "feedback": (*item.feedback, *reasons),
            "refused_checksum": refused.get(item.id),
            "waiting_for": waits(item, ids),
        }
        if enough(len(alike) + 1, policy):
            _stop(draft, item, reasons, alike, news)
        else:
            holder = item.lease.holder.session if item.lease else None
            due_at = draft.now + policy.first_claim if holder else None
            draft.move_item(item, "return", message=reasons[0]["message"], reserved_for=holder, due_at=due_at, **news)
    draft.move_order(order, "rework", data={"items": ids}, error=None)


def _stop(
    draft: Draft, item: WorkItem, reasons: Sequence[dict[str, Any]], alike: Sequence[Decision], news: dict[str, Any]
) -> None:
    """Not once more round the same circle: a person is asked."""
    rejections = [*((one.actor, one.at) for one in reversed(alike)), (draft.actor, draft.now)]
    error = {**repeated_rejection(item, reasons, rejections), "at": iso(draft.now)}
    draft.move_item(item, "stop", message=error["message"], error=error, **news)


def _reasons(draft: Draft, item: WorkItem, errors: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a reviewer said about one item, or about all."""
    return [
        {"at": iso(draft.now), "by": draft.actor.id, **{key: error[key] for key in error if key != "item_id"}}
        for error in about(item, errors)
    ]


def _record(draft: Draft, decision: Decision, rule: str | None) -> None:
    draft.decisions.append(decision)
    data = {
        "verdict": decision.verdict,
        "digest": decision.digest,
        "rule": rule,
        "errors": list(decision.errors),
        "channel": decision.actor.channel,
    }
    kept = {key: value for key, value in data.items() if value}
    draft.note("decision.recorded", decision.order_id, message=decision.comment, data=kept)


def _gate(order: WorkOrder, actor: Actor, policy: Policy, workers: frozenset[str]) -> None:
    """Refuses an approver that the type's gate does not let through."""
    if policy.approval == "human" and actor.type != "user":
        raise WorkError(
            "forbidden",
            f"{order.type} asks for a person; an agent's call alone is not enough",
            hint=f"A person runs: workdocket approve {order.id}",
            rule="human",
        )
    if policy.approval == "four_eyes" and actor.id in {order.requested_by.id, *workers}:
        raise WorkError(
            "self_approval",
            f"{actor.id} proposed or worked on {order.id}",
            hint="Anybody with the reviewer role who neither proposed nor worked on it may approve.",
            excluded=sorted({order.requested_by.id, *workers}),
        )
