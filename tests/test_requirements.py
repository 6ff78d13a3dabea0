"""The manifest and the tests know each other: every promise has a test, every scenario id is a promise."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.requirements import ELSEWHERE, REQUIREMENTS, SCENARIOS

TESTS = Path(__file__).parent


def ids_named_by_tests() -> Iterator[tuple[str, str]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.scenario":
                for argument in node.args:
                    yield ast.literal_eval(argument), f"{path.relative_to(TESTS)}:{node.lineno}"


def test_every_promise_has_a_test() -> None:
    shown = {name for name, _ in ids_named_by_tests()}
    assert sorted(set(REQUIREMENTS) - shown - set(ELSEWHERE)) == []


def test_no_test_names_a_promise_that_nobody_made() -> None:
    unknown = [f"{name} at {where}" for name, where in ids_named_by_tests() if name not in REQUIREMENTS]
    assert unknown == []


def test_what_is_left_out_is_a_scenario_without_a_test() -> None:
    shown = {name for name, _ in ids_named_by_tests()}
    assert [name for name in ELSEWHERE if name not in SCENARIOS or name in shown] == []
