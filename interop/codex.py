"""A model for Codex that knows its lines: the interface that Codex speaks, on a port of this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from interop.clients.story import Script

NAMESPACE = "mcp__workdocket"
MARK = "\nOutput:\n"
"""Codex puts how long a call took above what it answered."""
USAGE = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


class Model(ThreadingHTTPServer):
    """Answers each turn of Codex with the next call of the story, or with a last word."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Turn)
        self.script = Script()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def calls(self) -> int:
        return self.script.calls

    def says(self, last: dict[str, Any]) -> dict[str, Any]:
        """What follows on the last thing that Codex said: the answer of a tool, or what it was asked to do."""
        output = last.get("output")
        if isinstance(output, list):  # not an answer of the tool: Codex did not let the call through
            return message("I leave that to you.")
        step = self.script.next(output.partition(MARK)[2] if output else None)
        if step is None:
            return message("Done.")
        name, arguments = step
        call = {"name": name, "namespace": NAMESPACE, "arguments": json.dumps(arguments)}
        return {"type": "function_call", "id": f"item-{self.calls}", "call_id": f"call-{self.calls}", **call}


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "id": "end", "content": [{"type": "output_text", "text": text}]}


class Turn(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        item = self.server.says(asked["input"][-1])
        events = [
            {"type": "response.created", "response": {"id": "turn"}},
            {"type": "response.output_item.done", "item": item},
            {"type": "response.completed", "response": {"id": "turn", "usage": USAGE}},
        ]
        body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: Any) -> None:
        pass


@contextmanager
def model() -> Iterator[Model]:
    with Model() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
