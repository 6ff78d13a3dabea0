"""What one check gets: a server on a database of its own, every byte of the wire kept, and the log read afterwards."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from interop.installed import HERE

TYPES = HERE.parent / "tests/support/types.py"
STARTED = re.compile(r"listening on (http://(\S+):(\d+))")
START_SECONDS = 20
END_SECONDS = 5

ANSWERED = re.compile(rb'"protocolVersion" ?: ?"([\d-]+)"')
ASKED = re.compile(rb'"io\.modelcontextprotocol/protocolVersion" ?: ?"([\d-]+)"')


@dataclass
class Wire:
    """What clients and servers said to each other, and how the servers ended."""

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)
    exits: list[int] = field(default_factory=list)
    starts: int = 0

    @property
    def eras(self) -> list[str]:
        """The protocol versions that were agreed on: by the answers to handshakes, or with each request."""
        found = ANSWERED.findall(self.answered) + ASKED.findall(self.asked)
        return sorted({one.decode() for one in found})

    @property
    def methods(self) -> list[str]:
        """What the clients called, each once, in the order of the first time."""
        return list(dict.fromkeys(one.decode() for one in re.findall(rb'"method" ?: ?"([^"]+)"', self.asked)))


@dataclass
class Stand:
    """A folder with a database in it, and the ways in."""

    folder: Path
    url: str = ""
    wire: Wire = field(default_factory=Wire)

    @cached_property
    def frames(self) -> Path:
        folder = self.folder / "frames"
        folder.mkdir()
        return folder

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def database(self) -> str:
        return f"sqlite:///{self.folder / 'work.db'}"

    def workdocket(self, *words: str, program: Sequence[str] = ("-m", "workdocket")) -> list[str]:
        given = ["--database", self.database, "--set", f"order_types={TYPES}"]
        return [sys.executable, *program, *given, *words]

    @property
    def tee(self) -> list[str]:
        """The words in front of those that start a server on stdio, so that its frames are kept."""
        return [sys.executable, str(HERE / "tee.py"), str(self.frames)]

    @property
    def stdio(self) -> list[str]:
        return [*self.tee, *self.workdocket("serve")]

    @contextmanager
    def listening(self, program: Sequence[str]) -> Iterator[None]:
        """An HTTP server for as long as the block lasts, with the wire kept. It has to end in time, when told to."""
        words = self.workdocket("serve", "--transport", "http", "--port", "0", program=program)
        server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=HERE.parent)
        assert server.stderr
        try:
            found = STARTED.search(server.stderr.readline())
            if found is None:
                raise AssertionError(f"the server did not start: {server.stderr.read()}")
            threading.Thread(target=_echo, args=(server.stderr,), daemon=True).start()
            with relay((found[2], int(found[3])), self.wire) as port:
                self.url = f"http://127.0.0.1:{port}"
                yield
            server.send_signal(signal.SIGTERM)
            self.wire.exits.append(server.wait(END_SECONDS))
        finally:
            server.kill()
            server.wait()

    def read_frames(self) -> None:
        """The wire of the servers on stdio, from what was kept up to now."""
        self.wire = Wire()
        for file in sorted(self.frames.glob("*.frames")):
            self.wire.starts += 1
            for line in file.read_bytes().splitlines():
                mark, text = line[:2], line[2:] + b"\n"
                if mark == b". ":
                    self.wire.exits.append(int(text))
                else:
                    (self.wire.asked if mark == b"> " else self.wire.answered).extend(text)

    def completed(self) -> list[str]:
        return [order["id"] for order in self._asked("orders", "list")["orders"] if order["state"] == "completed"]

    def clients(self) -> list[str]:
        """What the log calls the clients that changed something."""
        events = self._asked("events", "--limit", "500")["events"]
        return sorted({event["client"] for event in events if "client" in event})

    def _asked(self, *words: str) -> Any:
        done = subprocess.run(self.workdocket(*words, "--json"), check=True, capture_output=True, text=True)
        return json.loads(done.stdout)


def _echo(source: Any) -> None:
    for line in source:
        sys.stderr.write(line)


@contextmanager
def relay(target: tuple[str, int], wire: Wire) -> Iterator[int]:
    """A port from which every connection goes on to ``target``, with its bytes kept."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        threading.Thread(target=_accept, args=(place, target, wire), daemon=True).start()
        yield place.getsockname()[1]


def _accept(place: socket.socket, target: tuple[str, int], wire: Wire) -> None:
    with suppress(OSError):  # the port is closed
        while True:
            near, _ = place.accept()
            far = socket.create_connection(target)
            for end in (near, far):  # or halves of a message wait for word of each other
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for words in ((near, far, wire.asked), (far, near, wire.answered)):
                threading.Thread(target=_pass_on, args=words, daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
    with suppress(OSError):  # one of them has gone: tell the other
        while data := source.recv(65_536):
            kept.extend(data)
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_WR if end is sink else socket.SHUT_RD)
