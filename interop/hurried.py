"""The server as it is, but that no call waits: a fuzzer asks for waits of any length, one after the other."""

from __future__ import annotations

from workdocket.app import App
from workdocket.surfaces import listener
from workdocket.surfaces.asgi import Web
from workdocket.surfaces.cli import main
from workdocket.surfaces.identity import Caller


class Hurried(Web):
    def __init__(self, house: App, local: Caller) -> None:
        super().__init__(house, local)
        house.desk.end_waits()


if __name__ == "__main__":
    listener.Web = Hurried  # type: ignore[attr-defined]
    main()
