"""One pure function per command: what is known goes in, the change to make comes out."""

from workdocket.domain.decide.admin import cancel, dead_letter, expire_review, requeue, retry
from workdocket.domain.decide.apply import after_applied, applied, apply_raised, claim, drifted
from workdocket.domain.decide.deadline import deadline_findings, miss_deadline
from workdocket.domain.decide.facts import Facts, Work
from workdocket.domain.decide.handin import finalize, submit, take_part
from workdocket.domain.decide.hold import checkout, expire, fail, heartbeat, release, renew
from workdocket.domain.decide.items import reject_items, waive
from workdocket.domain.decide.propose import plan_findings, propose, proposed_again
from workdocket.domain.decide.review import approve, auto_deferred, reject
from workdocket.domain.decide.undo import undo

__all__ = [
    "Facts",
    "Work",
    "after_applied",
    "applied",
    "apply_raised",
    "approve",
    "auto_deferred",
    "cancel",
    "checkout",
    "claim",
    "dead_letter",
    "deadline_findings",
    "drifted",
    "expire",
    "expire_review",
    "fail",
    "finalize",
    "heartbeat",
    "miss_deadline",
    "plan_findings",
    "propose",
    "proposed_again",
    "reject",
    "reject_items",
    "release",
    "renew",
    "requeue",
    "retry",
    "submit",
    "take_part",
    "undo",
    "waive",
]
