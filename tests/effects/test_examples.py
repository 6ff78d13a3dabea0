"""The examples in the docstrings, run."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.built_in import Attempt
from tests.support.payments import payments
from workdocket.effects import file, http, sql


@pytest.mark.scenario("effect-sql", "effect-file", "effect-http")
@pytest.mark.parametrize("module", [sql, file, http], ids=lambda module: module.__name__)
def test_the_example_of_each_module_runs(module: ModuleType, tmp_path: Path) -> None:
    with payments("lost") as service:
        given = {"ctx": Attempt("key"), "folder": tmp_path, "url": service.url}

        outcome = doctest.testmod(module, extraglobs=given)

    assert outcome.attempted > 0
    assert outcome.failed == 0
