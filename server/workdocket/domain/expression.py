"""Conditions of gates: a small language over an order's facts. Nothing in it can call, loop, write or fail.

It is read with Python's own parser and then held to a list of what may occur. A comparison with something that is not
there, or of two things that have no order, is neither true nor false, and stays so under ``not``: a rule that comes
to that does not match.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import reduce
from typing import Any, NamedTuple

LONGEST = 1_000
MOST_NODES = 200

Facts = Mapping[str, Any]
Value = Callable[[Facts], Any]

TOP = ("type", "priority", "requested_by", "requested_by_kind", "payload", "meta", "results", "diff")
"""What an expression may speak of. Below payload, meta and results come the data's own names."""

DIFF = ("changes", "added", "modified", "removed", "paths")
WORDS = {"true": True, "false": False, "null": None}


class Malformed(ValueError):
    """An expression that is none. ``at`` is the character, from 1, where the trouble is."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(f"{message}, at character {at}")
        self.at = at


class _Unknown:
    """What is not there, and every answer that would depend on it."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Any = _Unknown()


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition. Raises :class:`Malformed` where the text is none."""

    text: str
    _value: Value = field(init=False, repr=False, compare=False)
    paths: tuple[tuple[str, ...], ...] = field(init=False, repr=False, compare=False)
    """The ways into the data that it takes, by their names."""

    def __post_init__(self) -> None:
        reading = _Reading(self.text)
        object.__setattr__(self, "_value", reading.value(reading.body))
        object.__setattr__(self, "paths", tuple(dict.fromkeys(reading.paths)))

    def holds(self, facts: Facts) -> bool:
        """Whether it is true; false as well where the facts do not say."""
        return self._value(facts) is True


class _Reading:
    """One text on its way to a function of the facts."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise Malformed(f"an expression has at most {LONGEST} characters", LONGEST + 1)
        self.line = text.replace("\n", " ")
        self.lead = len(self.line) - len(self.line.lstrip())
        self.paths: list[tuple[str, ...]] = []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.body = ast.parse(self.line.lstrip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            at = getattr(error, "offset", None) or len(self.line.strip()) + 1
            raise Malformed("this is no expression", self.lead + at) from None
        if sum(1 for _ in ast.walk(self.body)) > MOST_NODES:
            raise Malformed(f"an expression has at most {MOST_NODES} words and signs", 1)

    def fault(self, node: ast.AST, message: str) -> Malformed:
        before = self.line.lstrip().encode()[: getattr(node, "col_offset", 0)]
        return Malformed(message, self.lead + len(before.decode()) + 1)

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
                return lambda facts: value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return lambda facts: -number
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _not(self.value(operand))
            case ast.BoolOp(op=op, values=parts):
                decisive = isinstance(op, ast.Or)
                return _joined([self.value(part) for part in parts], decisive)
            case ast.Compare(left=left, ops=ops, comparators=others):
                values = [self.value(one) for one in (left, *others)]
                signs = [self.sign(node, op) for op in ops]
                pairs = zip(signs, values, values[1:], strict=False)
                return _joined([_compared(sign, one, other) for sign, one, other in pairs], False)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                each = [self.value(part) for part in parts]
                return lambda facts: [one(facts) for one in each]
            case ast.Call(func=ast.Name(id=name), args=given, keywords=[]):
                return self.call(node, name, given)
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self.path(node)
        raise self.fault(
            node, f"{ast.unparse(node)!r} can't be said here" if _short(node) else "this can't be said here"
        )

    def sign(self, node: ast.AST, op: ast.cmpop) -> Compare:
        found = SIGNS.get(type(op))
        if found is None:
            raise self.fault(node, "compare with ==, !=, <, <=, >, >=, in or not in")
        return found

    def call(self, node: ast.AST, name: str, given: Sequence[ast.expr]) -> Value:
        known = FUNCTIONS.get(name)
        if known is None:
            raise self.fault(node, f"there is no function {name}; there are {', '.join(FUNCTIONS)}")
        if len(given) != known.takes:
            raise self.fault(node, f"{name} takes {known.takes} argument{'s' * (known.takes > 1)}")
        first = self.value(given[0])
        if known.takes == 1:
            return lambda facts: known.run(first(facts))
        match given[1]:
            case ast.Constant(value=str() as text):
                prepared = known.prepare(text)
                return lambda facts: known.run(first(facts), prepared)
        raise self.fault(given[1], f"the second argument of {name} is a text in quotes")

    def path(self, node: ast.expr) -> Value:
        """A way into the facts: names behind dots, or texts and numbers in brackets."""
        steps: list[str | int] = []
        at = node
        while not isinstance(at, ast.Name):
            match at:
                case ast.Attribute(value=inner, attr=name):
                    steps.append(name)
                case ast.Subscript(value=inner, slice=ast.Constant(value=str() as key)):
                    steps.append(key)
                case ast.Subscript(value=inner, slice=ast.Constant(value=int() as index)) if type(index) is int:
                    steps.append(index)
                case _:
                    raise self.fault(at, "a way into the data is names behind dots, or texts and numbers in brackets")
            at = inner
        if at.id in WORDS and not steps:
            word = WORDS[at.id]
            return lambda facts: word
        if at.id not in TOP:
            raise self.fault(at, f"there is no {at.id}; there are {', '.join(TOP)}")
        steps.reverse()
        if at.id == "diff" and (len(steps) != 1 or steps[0] not in DIFF):
            raise self.fault(at, f"of the diff there are {', '.join(f'diff.{name}' for name in DIFF)}")
        self.paths.append((at.id, *(step for step in steps if isinstance(step, str))))
        way = (at.id, *steps)
        return lambda facts: reduce(_step, way, facts)


def _short(node: ast.AST) -> bool:
    return sum(1 for _ in ast.walk(node)) < 10


def _step(value: Any, step: str | int) -> Any:
    """One step into the data; a name asked of a list is asked of each of its entries."""
    if isinstance(value, Mapping) and isinstance(step, str):
        return value.get(step, UNKNOWN)
    if isinstance(value, list) and isinstance(step, int):
        return value[step] if 0 <= step < len(value) else UNKNOWN
    if isinstance(value, list):
        found = [_step(one, step) for one in value]
        return UNKNOWN if any(one is UNKNOWN for one in found) else found
    return UNKNOWN


def _not(value: Value) -> Value:
    def told(facts: Facts) -> Any:
        found = value(facts)
        return not found if isinstance(found, bool) else UNKNOWN

    return told


def _joined(values: Sequence[Value], decisive: bool) -> Value:
    """``or`` where true is decisive, ``and`` where false is: with one decisive value the others need not be known."""

    def told(facts: Facts) -> Any:
        found = [value(facts) for value in values]
        if any(one is decisive for one in found):
            return decisive
        return not decisive if all(isinstance(one, bool) for one in found) else UNKNOWN

    return told


Compare = Callable[[Any, Any], Any]


def _compared(sign: Compare, one: Value, other: Value) -> Value:
    def told(facts: Facts) -> Any:
        left, right = one(facts), other(facts)
        return UNKNOWN if left is UNKNOWN or right is UNKNOWN else sign(left, right)

    return told


def _same(one: Any, other: Any) -> bool:
    """Equal, and of one kind: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _ordered(test: Callable[[Any, Any], bool]) -> Compare:
    def told(one: Any, other: Any) -> Any:
        comparable = (_number(one) and _number(other)) or (isinstance(one, str) and isinstance(other, str))
        return test(one, other) if comparable else UNKNOWN

    return told


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in(one: Any, other: Any) -> Any:
    if isinstance(one, str) and isinstance(other, str):
        return one in other
    return any(_same(one, each) for each in other) if isinstance(other, list) else UNKNOWN


def _not_in(one: Any, other: Any) -> Any:
    found = _in(one, other)
    return UNKNOWN if found is UNKNOWN else not found


SIGNS: Mapping[type[ast.cmpop], Compare] = {
    ast.Eq: _same,
    ast.NotEq: lambda one, other: not _same(one, other),
    ast.Lt: _ordered(lambda one, other: one < other),
    ast.LtE: _ordered(lambda one, other: one <= other),
    ast.Gt: _ordered(lambda one, other: one > other),
    ast.GtE: _ordered(lambda one, other: one >= other),
    ast.In: _in,
    ast.NotIn: _not_in,
}


class Function(NamedTuple):
    """``prepare`` makes of the second argument, a text, what ``run`` takes."""

    takes: int
    run: Callable[..., Any]
    prepare: Callable[[str], Any] = str


def _count(value: Any) -> Any:
    return len(value) if isinstance(value, str | list | dict) else UNKNOWN


def _numbers(fold: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def told(value: Any) -> Any:
        return fold(value) if isinstance(value, list) and value and all(map(_number, value)) else UNKNOWN

    return told


def _texts(test: Callable[[str, Any], bool], of_several: Callable[..., bool]) -> Callable[[Any, Any], Any]:
    """A test of a text, or of the texts of a list, of which there has to be one at least."""

    def told(value: Any, prepared: Any) -> Any:
        texts = value if isinstance(value, list) else [value]
        if not texts or not all(isinstance(text, str) for text in texts):
            return UNKNOWN
        return of_several(test(text, prepared) for text in texts)

    return told


def _matches(text: str, pattern: re.Pattern[str]) -> bool:
    return pattern.match(text) is not None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(translate(text))


FUNCTIONS: Mapping[str, Function] = {
    "has": Function(1, lambda value: value is not UNKNOWN),
    "len": Function(1, _count),
    "sum": Function(1, _numbers(sum)),
    "min": Function(1, _numbers(min)),
    "max": Function(1, _numbers(max)),
    "startswith": Function(2, _texts(str.startswith, all)),
    "any_startswith": Function(2, _texts(str.startswith, any)),
    "glob": Function(2, _texts(_matches, all), _pattern),
    "any_glob": Function(2, _texts(_matches, any), _pattern),
}
