"""How soon after its start a server answers the first tools/list and what it weighs then, beside a bare server of the
MCP SDK; and how soon the command line shows its help."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.figures import SPREAD, Report, Table, main, quantile, spread
from bench.house import new_folder

BARE = (sys.executable, str(Path(__file__).with_name("bare.py")))
OURS = (sys.executable, "-m", "workdocket")
HELLO = {"name": "bench", "version": "1"}
MODERN = "io.modelcontextprotocol"
LIST: Mapping[str, Any] = {"id": 2, "method": "tools/list", "params": {}}
ERAS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "after a handshake": (
        {
            "id": 1,
            "method": "initialize",
            "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": HELLO},
        },
        {"method": "notifications/initialized"},
        LIST,
    ),
    "at once": (
        {
            **LIST,
            "params": {
                "_meta": {
                    f"{MODERN}/protocolVersion": "2026-07-28",
                    f"{MODERN}/clientInfo": HELLO,
                    f"{MODERN}/clientCapabilities": {},
                }
            },
        },
    ),
}


@dataclass
class Starts:
    """Milliseconds until the answer, and MiB held then where the system says."""

    ms: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)


async def measure(rounds: int = 20) -> Report:
    with new_folder() as folder:
        found = {era: starts(folder, talk, rounds) for era, talk in ERAS.items()}
        helps = [run_ms((*OURS, "--help"), folder) for _ in range(rounds)]
        nothing = [run_ms((sys.executable, "-c", "pass"), folder) for _ in range(rounds)]
    rows = [
        [f"{name}, {era}", *spread(one.ms, 0), _times(one.ms, servers["bare"].ms), _more(one.mib, servers["bare"].mib)]
        for era, servers in found.items()
        for name, one in servers.items()
    ]
    return Report(
        "Start",
        [
            f"""Milliseconds from the start of a process to its answer to `tools/list` over pipes, with the built-in
            order types, and what it holds in memory then. Beside it, in turns, a server of the MCP SDK
            {metadata.version("mcp")} with one tool in the same interpreter; "times bare" is the median of the ratios
            within a round. Design: 1.15 times, and 12 MiB more.""",
            Table(["ms until listed", *SPREAD, "times bare", "MiB more"], rows),
            "The same for the whole run of a command, and of the interpreter that does nothing.",
            Table(
                ["ms until ended", *SPREAD],
                [["workdocket --help", *spread(helps, 0)], ["python -c pass", *spread(nothing, 0)]],
            ),
        ],
        [
            (f"{name}, {era}{unit}", value)
            for era, servers in found.items()
            for name, one in servers.items()
            for unit, values in (("", one.ms), (", MiB", one.mib))
            for value in values
        ]
        + [("workdocket --help", value) for value in helps],
    )


def _times(ours: Sequence[float], bare: Sequence[float]) -> str:
    return f"{quantile([one / other for one, other in zip(ours, bare, strict=True)], 0.5):.2f}"


def _more(ours: Sequence[float], bare: Sequence[float]) -> str:
    if not ours:
        return "unknown"
    return f"{quantile([one - other for one, other in zip(ours, bare, strict=True)], 0.5):.1f}"


def starts(folder: Path, talk: Sequence[Mapping[str, Any]], rounds: int) -> dict[str, Starts]:
    """One start of each server in each round; the first round, which fills caches, is not counted."""
    there = folder / "there.db"
    servers: dict[str, Callable[[int], Sequence[str]]] = {
        "bare": lambda _: BARE,
        "workdocket": lambda _: (*OURS, "--database", str(there), "serve"),
        "workdocket, new database": lambda number: (*OURS, "--database", str(folder / f"{number}.db"), "serve"),
    }
    found = {name: Starts() for name in servers}
    for number in range(rounds + 1):
        for name, command in servers.items():
            ms, mib = start(command(number), folder, talk)
            if number:
                found[name].ms.append(ms)
                found[name].mib += [mib] if mib is not None else []
        for file in folder.glob(f"{number}.db*"):
            file.unlink()
    return found


def start(command: Sequence[str], folder: Path, talk: Sequence[Mapping[str, Any]]) -> tuple[float, float | None]:
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, env=_plain()
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        answer: Any = {}
        for message in talk:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            server.stdin.flush()
            if "id" in message:
                answer = server.stdout.readline()
        lasted = time.perf_counter() - started
        held = _held(server.pid)
    assert json.loads(answer)["result"]["tools"]
    return lasted * 1000, held


def _plain() -> dict[str, str]:
    """The environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WORKDOCKET_")}


def _held(process: int) -> float | None:
    """MiB of memory a process holds; ``None`` where the system has no such file."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else None


def run_ms(command: Sequence[str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=_plain(), check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main(measure)
