"""The kit against types with one fault each: it finds the fault, and finds none where there is none."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from workdocket import OrderType
from workdocket.testing import OrderTypeProblems, check_order_type

FOLDER = Path(__file__).parent / "faulty"
MODULES = [import_module(f"tests.kit.faulty.{file.stem}") for file in sorted(FOLDER.glob("[a-z]*.py"))]
FAULTY = [module for module in MODULES if module.EXPECTED]


def type_in(module: ModuleType) -> type[OrderType]:
    [found] = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and one.__module__ == module.__name__ and issubclass(one, OrderType)
    ]
    return found


@pytest.mark.slow
@pytest.mark.scenario("kit-catches")
@pytest.mark.parametrize("module", FAULTY, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_faulty_type_is_caught_for_its_fault(module: ModuleType) -> None:
    with pytest.raises(OrderTypeProblems) as raised:
        check_order_type(type_in(module), module.EXAMPLES)

    print(raised.value)
    assert module.EXPECTED in raised.value.codes
