"""How soon after its start a server answers the first tools/list and the first call, and what it weighs then, beside a
bare server of the MCP SDK; and how soon the command line shows its help."""

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
CALLS = {"bare": ("echo", {"text": "hello"}), "workdocket": ("list_orders", {})}
"""What each server is asked after the list; ours reads its database for it."""


@dataclass(frozen=True)
class Era:
    """How a client of a protocol revision begins, and what it puts into each request."""

    greeting: Sequence[Mapping[str, Any]]
    meta: Mapping[str, Any]


MODERN = "io.modelcontextprotocol"
SINCE_2024 = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": HELLO}
SINCE_2026 = {"protocolVersion": "2026-07-28", "clientCapabilities": {}, "clientInfo": HELLO}
ERAS = {
    "2025-11-25": Era(
        ({"id": 1, "method": "initialize", "params": SINCE_2024}, {"method": "notifications/initialized"}), {}
    ),
    "2026-07-28": Era((), {"_meta": {f"{MODERN}/{key}": value for key, value in SINCE_2026.items()}}),
}


@dataclass
class Starts:
    """Milliseconds until the list, and until the answer to a call after it; MiB held then, where the system says."""

    listed: list[float] = field(default_factory=list)
    called: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)


async def measure(rounds: int = 20) -> Report:
    with new_folder() as folder:
        found = {name: starts(folder, era, rounds) for name, era in ERAS.items()}
        helps = [run_ms((*OURS, "--help"), folder) for _ in range(rounds)]
        nothing = [run_ms((sys.executable, "-c", "pass"), folder) for _ in range(rounds)]
    return Report(
        "Start",
        [
            f"""Milliseconds from the start of a process to its answer to `tools/list` over pipes, with the built-in
            order types. Beside it, in turns, a server of the MCP SDK {metadata.version("mcp")} with one tool in the
            same interpreter; "times bare" is the median of the ratios within a round. Design: 1.15 times.""",
            Table(["ms until listed", *SPREAD, "times bare"], _rows(found, lambda one: one.listed)),
            """The same to the answer of a call that is made as soon as the list is there, and what the process holds
            in memory then: the median of what it is more than the bare server's, in MiB. Design: 12 MiB.""",
            Table(
                ["ms until called", *SPREAD, "times bare", "MiB more"],
                [[*row, more] for row, more in zip(_rows(found, lambda one: one.called), _more(found), strict=True)],
            ),
            "The whole run of a command, and of the interpreter that does nothing.",
            Table(
                ["ms until ended", *SPREAD],
                [["workdocket --help", *spread(helps, 0)], ["python -c pass", *spread(nothing, 0)]],
            ),
        ],
        [
            (f"{name}, {era}, {what}", value)
            for era, servers in found.items()
            for name, one in servers.items()
            for what, values in (("ms until listed", one.listed), ("ms until called", one.called), ("MiB", one.mib))
            for value in values
        ]
        + [("workdocket --help, ms", value) for value in helps],
    )


Found = Mapping[str, Mapping[str, Starts]]


def _rows(found: Found, times: Callable[[Starts], Sequence[float]]) -> list[list[str]]:
    return [
        [f"{name}, {era}", *spread(times(one), 0), _times(times(one), times(servers["bare"]))]
        for era, servers in found.items()
        for name, one in servers.items()
    ]


def _more(found: Found) -> list[str]:
    return [
        f"{quantile([a - b for a, b in zip(one.mib, servers['bare'].mib, strict=True)], 0.5):.1f}"
        if one.mib
        else "unknown"
        for servers in found.values()
        for one in servers.values()
    ]


def _times(ours: Sequence[float], bare: Sequence[float]) -> str:
    return f"{quantile([one / other for one, other in zip(ours, bare, strict=True)], 0.5):.2f}"


def starts(folder: Path, era: Era, rounds: int) -> dict[str, Starts]:
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
            start(command(number), folder, era, CALLS[name.partition(",")[0]], found[name] if number else Starts())
        for file in folder.glob(f"{number}.db*"):
            file.unlink()
    return found


def start(command: Sequence[str], folder: Path, era: Era, call: tuple[str, Mapping[str, Any]], into: Starts) -> None:
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, env=_plain()
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        name, arguments = call
        talk: list[Mapping[str, Any]] = [
            *era.greeting,
            {"id": 2, "method": "tools/list", "params": era.meta},
            {"id": 3, "method": "tools/call", "params": {"name": name, "arguments": arguments, **era.meta}},
        ]
        answered, answers = list[float](), list[bytes]()
        for message in talk:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            server.stdin.flush()
            if "id" in message:
                answers.append(server.stdout.readline())
                answered.append((time.perf_counter() - began) * 1000)
        held = _held(server.pid)
    results = [json.loads(answer)["result"] for answer in answers]
    assert results[-2]["tools"]
    assert not results[-1].get("isError")
    into.listed.append(answered[-2])
    into.called.append(answered[-1])
    into.mib += [] if held is None else [held]


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
