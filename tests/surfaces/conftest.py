"""The command line for tests: run in this process, with nothing set and nobody's data in reach."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workdocket.surfaces.cli import main

Cli = Callable[..., Result]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    for name in [name for name in os.environ if name.startswith("WORKDOCKET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    log = logging.getLogger()
    monkeypatch.setattr(log, "handlers", list(log.handlers))
    monkeypatch.setattr(log, "level", log.level)
    return here


@pytest.fixture
def folder(bare: Path) -> Path:
    """Where commands are run; a module may put something into it."""
    return bare


@pytest.fixture
def cli(folder: Path) -> Cli:
    """A command run in this process."""
    return lambda *words, **more: CliRunner().invoke(main, [str(word) for word in words], **more)
