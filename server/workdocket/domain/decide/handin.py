"""Handing work in: whole, part by part, and put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from workdocket.domain.decide.facts import Facts, Work
from workdocket.domain.decide.hold import end_lease, hold, keep, over_limit, overdue, start, take
from workdocket.domain.decide.review import ask_the_rule
from workdocket.domain.draft import Draft
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.model import Change, Part, Submission


def submit(facts: Facts, token: str, work: Work, findings: Sequence[Finding]) -> Change:
    """The result handed in, or the refusal recorded, or the late result kept."""
    return _hand_in(facts, token, "submit", work, findings, {})


def finalize(
    facts: Facts, token: str, work: Work, findings: Sequence[Finding], keys: Sequence[str], mode: str
) -> Change:
    """As submit, with a result that was assembled from parts."""
    data = {"assembled": list(keys), "parts": len(keys), "mode": mode}
    return _hand_in(facts, token, "finalize", work, findings, data)


def take_part(
    facts: Facts,
    token: str,
    key: str,
    seq: int | None,
    work: Work,
    findings: Sequence[Finding],
    present: Sequence[Part],
) -> Change:
    """One part kept, good or refused. A refused one never replaces a good one; the same one twice is kept once.

    Refused ones have a limit of their own: they must neither fill the database nor use up the room of good ones.
    """
    draft = Draft(facts.now, facts.actor)
    item = keep(draft, facts, token)
    good = {(part.key, part.seq): part for part in present if part.status == "validated"}
    if (key, seq) not in good and len(good) >= facts.policy.max_parts:
        raise WorkError(
            "limit_exceeded",
            f"{item.id} has the most parts an item may have",
            hint="Send fewer, larger parts.",
            limit="max_parts_per_item",
            value=facts.policy.max_parts,
        )
    part = Part(
        item_id=item.id,
        key=key,
        seq=seq,
        status="rejected" if findings else "validated",
        payload=work.value,
        checksum=work.checksum,
        actor=facts.actor,
        fence=item.fence,
        at=facts.now,
        evidence=work.evidence,
        notes=work.notes,
        findings=tuple(findings),
    )
    if findings:
        bad = {(one.key, one.seq) for one in present if one.status == "rejected"} - {(key, seq)}
        kept = part if len(bad) < facts.policy.max_parts else None
        return _refuse(facts, token, "part", work, findings, {"key": key, "seq": seq}, kept)
    item = start(draft, facts, item)
    before = good.get((key, seq))
    if before is None or not _same(before, part):
        draft.parts.append(part)
        draft.note("part.received", item.order_id, item, data=_shown(work, {"key": key, "seq": seq}))
    return draft.change()


def _hand_in(
    facts: Facts, token: str, command: str, work: Work, findings: Sequence[Finding], data: dict[str, Any]
) -> Change:
    draft = Draft(facts.now, facts.actor)
    try:
        item = hold(draft, facts, token)
    except WorkError as refusal:
        return _late(facts, work, refusal)
    if work.checksum == item.refused_checksum:
        findings = [*findings, _UNCHANGED]
    if findings:
        return _refuse(facts, token, "result", work, findings, {})
    end: Literal["submitted", "finalized"] = "submitted" if command == "submit" else "finalized"
    handed = Submission(
        item.id, item.fence, work.checksum, end, work.value, facts.actor, facts.now, work.evidence, work.notes
    )
    draft.submissions.append(handed)
    item = draft.move_item(
        item,
        command,
        data=_shown(work, data),
        lease=end_lease(draft, item, end),
        result_key=handed.key,
        error=None,
    )
    for other in facts.dependents:
        if item.id in other.waiting_for:
            draft.keep_item(other, waiting_for=tuple(i for i in other.waiting_for if i != item.id))
    order = draft.settle(facts.order, {*facts.others, item.state})
    ask_the_rule(draft, order, facts.policy)
    return draft.change()


_UNCHANGED = Finding("unchanged_since_rejection", "", "this is byte for byte what the reviewer sent back")

_REFUSALS = {"result": ("item.submission_refused", "invalid_result"), "part": ("part.refused", "invalid_part")}


def _refuse(
    facts: Facts,
    token: str,
    what: str,
    work: Work,
    findings: Sequence[Finding],
    data: dict[str, Any],
    part: Part | None = None,
) -> Change:
    """The record that it was refused. It renews no lease, but takes back an expired one where no limit forbids it."""
    event, code = _REFUSALS[what]
    draft = Draft(facts.now, facts.actor)
    item = facts.item if over_limit(facts) else take(draft, facts, token)[0]
    draft.settle(facts.order, {*facts.others, item.state})
    found = [finding.as_dict() for finding in findings]
    draft.note(event, facts.order.id, item, data={**data, "checksum": work.checksum, "findings": found})
    if part is not None:
        draft.parts.append(part)
    first = findings[0]
    count = f"{len(findings)} findings" if len(findings) > 1 else "1 finding"
    where = f" at {first.path}" if first.path else ""
    return draft.change(WorkError(code, f"{count}: {first.message or first.code}{where}", findings=findings))


def _late(facts: Facts, work: Work, refusal: WorkError) -> Change:
    """A result under a lease that was real but is over: refused, and kept."""
    past, item = facts.past, facts.item
    if past is None:
        raise refusal
    late = Submission(
        item.id, past.fence, work.checksum, "late", work.value, facts.actor, facts.now, work.evidence, work.notes
    )
    refusal.details["late_result_kept"] = True
    refusal.hint = "Call checkout to get a lease; what you sent is kept on the item as a late result."
    if late.key in facts.kept:
        raise refusal
    draft = Draft(facts.now, facts.actor)
    if past.live:
        item = overdue(draft, facts)
        draft.settle(facts.order, {*facts.others, item.state})
    draft.submissions.append(late)
    draft.note("item.late_result", item.order_id, item, attempt=past.attempt, data=_shown(work, {"fence": past.fence}))
    return draft.change(refusal)


def _same(one: Part, other: Part) -> bool:
    return (one.checksum, one.evidence, one.notes) == (other.checksum, other.evidence, other.notes)


def _shown(work: Work, data: dict[str, Any]) -> dict[str, Any]:
    """What the audit row says of it: the checksum, never the whole result."""
    extra = {"evidence": work.evidence, "notes": work.notes}
    return {**data, "checksum": work.checksum, **{key: value for key, value in extra.items() if value is not None}}
