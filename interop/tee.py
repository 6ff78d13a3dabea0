"""Stands between an MCP client and the server that it starts, and keeps every frame: tee.py FOLDER COMMAND [ARGS...]

Each server process has a file of its own in FOLDER. A line is ``> frame`` from the client, ``< frame`` from the server,
``. CODE`` at the end.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO


def pump(source: IO[bytes], target: IO[bytes], log: IO[bytes], mark: bytes) -> None:
    for line in source:
        log.write(mark + line)
        try:
            target.write(line)
            target.flush()
        except OSError:  # the other side has gone
            break
    target.close()


def main(folder: Path, command: list[str]) -> int:
    with (folder / f"{os.getpid()}.frames").open("wb", buffering=0) as log:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdin
        assert server.stdout
        threading.Thread(target=pump, args=(sys.stdin.buffer, server.stdin, log, b"> "), daemon=True).start()
        pump(server.stdout, sys.stdout.buffer, log, b"< ")
        code = server.wait()
        log.write(b". %d\n" % code)
    return code


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), sys.argv[2:])
    os._exit(code)  # the thread may still wait for the client
