"""Another process on a bench's database: reads ``[who, tool, arguments]`` a line, answers ``[when, answer]`` a line."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bench.house import house, kind


async def answer(folder: Path, names: list[str]) -> None:
    async with house(folder, [kind(name) for name in names]) as here:
        while line := await asyncio.to_thread(sys.stdin.readline):
            who, tool, arguments = json.loads(line)
            print(json.dumps(await here.done(who, tool, **arguments)), flush=True)


if __name__ == "__main__":
    asyncio.run(answer(Path(sys.argv[1]), sys.argv[2:]))
