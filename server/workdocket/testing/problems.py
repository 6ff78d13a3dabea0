"""What the kit says when an order type is wrong: a code, what was done, what came out, what to do, and where."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

ADVICE: Mapping[str, str] = {
    "after_apply_repeats": "Store ctx.idempotency_key with what after_apply does, and look for it first.",
    "again_differs": "Key the effect by ctx.idempotency_key, not by the order's id or payload; or mend Example.again.",
    "apply_raises": "Mend apply; raise workdocket.Refused only where a person has to act first.",
    "at_once": "Look for the key and write the effect in one transaction, or under one lock.",
    "before_apply_writes": "Leave writing to apply; before_apply may only read.",
    "broken_type": "Mend the declaration; a server with this type does not start.",
    "check_raises": "Return a Finding for what the check dislikes; it may get anything that fits the schema.",
    "check_varies": "Same item and result, same findings: keep no state, and take neither clock nor chance.",
    "diff_changes": "In a later attempt with the same key return the diff of the first: store it with the key.",
    "diff_lies": "Make the diff of what was there before and what is there after: Diff.between(before, after).",
    "diff_not_json": "Put only texts, finite numbers, booleans, None, lists and dicts with text keys into a diff.",
    "example_refused": "Mend the example, or the check that refuses it.",
    "keeps_partial_effect": "Make the change in one transaction, or let the next attempt finish what is half done.",
    "mutates_input": "Work on a copy: what a hook gets stays as it is.",
    "not_once": "Store ctx.idempotency_key with the effect; when it is there, change nothing and return its diff.",
    "parts_order": "Build the result by part key and seq; parts may arrive in any order, and twice.",
    "plan_fails": "A plan has at least one item, keys that differ, and no circle in after, for every valid payload.",
    "plan_raises": "Refuse a payload with workdocket.Refused, or narrow the schema so that it is not valid.",
    "plan_reaches_out": "A plan may only compute from the order. Put what else it needs into the payload.",
    "plan_varies": "Same order, same plan: no clock, no chance, no environment, no order of a set.",
    "preview_misleads": "Let preview and apply compute the change in the same way.",
    "preview_varies": "Same world, same preview: else its digest is stale before anybody can approve it.",
    "preview_writes": "Read only, or rehearse on a copy; apply alone writes.",
    "result_ignored": "Apply what was approved: order.items[n].result. Or allow result_ignored where that is meant.",
    "schema_raises": "A validator may get any JSON: raise ValueError, nothing else.",
    "stale_preview": "Compute the change anew in apply, or let preview show all that it depends on.",
    "surroundings": "Take paths and settings from the payload, never from the working folder or the environment.",
}
"""Every code, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``place`` is the ``file:line`` to look at."""

    code: str
    did: str
    saw: str
    place: str

    @property
    def advice(self) -> str:
        return ADVICE[self.code]

    def __str__(self) -> str:
        return f"{self.place}: {self.code}\n    did: {self.did}\n    saw: {self.saw}\n    do:  {self.advice}"


class OrderTypeProblems(AssertionError):
    """An order type is wrong. ``problems`` has everything that was found, and ``codes`` their codes."""

    def __init__(self, name: str, problems: Collection[Problem]) -> None:
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        super().__init__("\n".join([f"{name} has {count}:", *map(str, self.problems)]))

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(problem.code for problem in self.problems)


@dataclass
class Book:
    """Problems as they are found, the first of each code and place, and every fault of a declaration; and notes."""

    place: str
    allow: Collection[str] = ()
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, code: str, did: str, saw: str, place: str = "") -> None:
        found = Problem(code, did, saw, place or self.place)
        known = {(one.code, one.place) for one in self.problems}
        told = code != "broken_type" and (code, found.place) in known
        if code not in self.allow and not told:
            self.problems.append(found)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    @contextmanager
    def raising(self, code: str, did: str) -> Iterator[None]:
        """What is raised inside, as a problem."""
        try:
            yield
        except Exception as error:
            self.problem(code, did, said(error))


def said(error: BaseException) -> str:
    """An exception in one line, with where it was raised."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}{where}"


def short(value: object, room: int = 300) -> str:
    """A value for a message."""
    from workdocket.domain.model import canonical

    try:
        text = canonical(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= room else f"{text[:room]}…"
