"""One open house for a whole session: tools are called from here, and what they begin goes on while somebody reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from workdocket.app import App, open_app
from workdocket.domain.errors import WorkError
from workdocket.service.view import UNCUT
from workdocket.surfaces.cli.run import Session, log_briefly, person
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import Caller

Answer = dict[str, Any]

PATIENCE_SECONDS = 3.0
"""So long somebody waits for a change to be made before the next order is shown."""


@dataclass
class House:
    portal: BlockingPortal
    app: App
    caller: Caller
    interrupted: bool = False
    """Ctrl-C came while a tool was at work, which was let finish."""

    def ask(self, tool: str, **arguments: Any) -> Answer:
        """The answer of a tool. A caller that is too fast for the server waits here."""
        while True:
            try:
                return self._finished(self.begin(tool, arguments))
            except WorkError as error:
                wait = error.details.get("retry_after_seconds")
                if error.details.get("limit") != "max_calls_per_minute" or wait is None:
                    raise
                time.sleep(wait)

    def begin(self, tool: str, arguments: Mapping[str, Any]) -> Future[Answer]:
        return self.portal.start_task_soon(run_tool, self.app, self.caller, tool, arguments)

    def whole(self, order_id: str) -> Answer:
        """The packet of an order with all of its diff, and its items uncut."""
        work = partial(self.app.reviews.review, self.caller.actor, order_id, room=UNCUT)
        packet = self._finished(self.portal.start_task_soon(work))
        items = [{**item, **self._uncut(item["id"])} for item in packet["items"]]
        return {**packet, "items": items}

    def _uncut(self, item_id: str) -> Answer:
        item = self.ask("get_item", item_id=item_id, full=True)["item"]
        return {name: item[name] for name in ("input", "result", "evidence", "notes", "late_results") if name in item}

    def settled(self, begun: Future[Answer], within: float | None) -> bool:
        """Whether it has come to an end within so many seconds; Ctrl-C does not end it."""
        try:
            begun.exception(within)
        except TimeoutError:
            return False
        except KeyboardInterrupt:
            if self.interrupted:
                raise
            self.interrupted = True
            return self.settled(begun, within)
        return True

    def _finished(self, begun: Future[Answer]) -> Answer:
        self.settled(begun, None)
        return begun.result()


@contextmanager
def opened(session: Session) -> Iterator[House]:
    log_briefly(session.settings.log_level)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(open_app(session.settings)) as app:
        yield House(portal, app, person(session))
