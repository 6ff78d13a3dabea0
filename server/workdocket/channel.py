"""A channel that notifications go out by, as the settings describe it, and what goes out."""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from workdocket.domain.decide.notify import Occasion
from workdocket.domain.model import HIGHEST_PRIORITY, canonical, iso

DESKTOPS = {"linux": "notify-send", "darwin": "osascript", "win32": "powershell"}
"""The program that shows a message on the desktop, by platform."""

OWN_NAMES = (".local", ".internal", ".lan", ".home.arpa", ".localhost")
"""How names of a network of one's own end."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell. ``id`` is the same however often it is sent, ``at`` when it happened, ``text`` one line."""

    id: str
    type: str
    at: int
    title: str
    text: str
    data: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        """The same bytes at each attempt, in UTF-8."""
        told = {"id": self.id, "type": self.type, "timestamp": iso(self.at), "text": self.text, "data": self.data}
        return canonical(told).encode()


class NotDelivered(Exception):
    """An attempt failed; the words of it hold no address and no secret.

    ``wait_seconds`` is how long the receiver wants to be left alone, ``final`` that it wants no other attempt.
    """

    def __init__(self, reason: str, *, wait_seconds: float = 0.0, final: bool = False) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds
        self.final = final


def _url(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or parts.port == 0:
        raise ValueError("A webhook is an https:// address")
    if parts.username is not None:
        raise ValueError("A webhook has no user and no password in its address; messages are signed with a secret")
    if parts.scheme == "http" and not is_near(parts.hostname):
        raise ValueError("A webhook beyond this machine and its own network needs https://")
    return value


def is_near(host: str) -> bool:
    """Whether a host is this machine, or by its address or name one of the same network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ("." not in host and host[:1].isalpha()) or host.endswith(OWN_NAMES)
    return address.is_private or address.is_loopback or address.is_link_local


def is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Channel(BaseModel):
    """One ``[[notify]]``: what it is told of, and how it tells. One of ``webhook``, ``command`` and ``desktop``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    on: tuple[Occasion, ...] = ("review", "deadline", "failed")
    types: tuple[str, ...] = ("*",)
    min_priority: int = Field(0, ge=0, le=HIGHEST_PRIORITY)
    before_seconds: float = Field(3600, ge=0, allow_inf_nan=False)
    webhook: Annotated[str | None, AfterValidator(_url)] = Field(None, repr=False)
    secret_env: str | None = Field(None, min_length=1)
    secret_file: str | None = Field(None, min_length=1)
    command: tuple[str, ...] = Field((), repr=False)
    desktop: bool = False
    include_payload: bool = False

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "secret" in given:
            raise ValueError(
                "No secret stands in the settings: secret_env names the variable that has it, secret_file the file"
            )
        strangers = [key for key in given if key not in cls.model_fields] if isinstance(given, Mapping) else []
        for key in strangers:
            close = get_close_matches(key, cls.model_fields, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(f"A channel has no key {key[:40]}{hint}")
        return given

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("webhook", "command", "desktop") if getattr(self, name)]
        if len(ways) != 1:
            raise ValueError(f"The channel {self.name} needs one of webhook, command and desktop")
        secrets = [name for name in ("secret_env", "secret_file") if getattr(self, name)]
        if len(secrets) > 1 or (secrets and not self.webhook):
            raise ValueError(f"The channel {self.name} may have a webhook and one secret for it")
        if not self.on or not self.types:
            raise ValueError(f"The channel {self.name} is told of nothing: on and types need an entry each")
        if self.desktop and not desktop_program():
            raise ValueError(f"The channel {self.name} has no desktop to show a message on: {_no_desktop()}")
        return self

    @property
    def way(self) -> str:
        """How it tells, with nothing in it that lets anybody in: of an address the server, of a command the program."""
        if self.webhook:
            parts = urlsplit(self.webhook)
            return f"webhook {parts.scheme}://{parts.netloc}"
        return f"command {Path(self.command[0]).name}" if self.command else "desktop"

    def located(self, folder: Path) -> Channel:
        """With its paths absolute: relative to ``folder`` as they are."""
        update: dict[str, Any] = {}
        if self.secret_file:
            update["secret_file"] = str(folder / Path(self.secret_file).expanduser())
        if self.command and os.sep in self.command[0]:
            update["command"] = (str(folder / Path(self.command[0]).expanduser()), *self.command[1:])
        return self.model_copy(update=update)


Deliver = Callable[[Channel, Message, int], Awaitable[None]]
"""Sends a message by a channel at a time in milliseconds. Raises :class:`NotDelivered`."""


def desktop_program() -> str | None:
    """Where the program is that shows a message on this machine's desktop."""
    name = DESKTOPS.get(sys.platform)
    return shutil.which(name) if name else None


def _no_desktop() -> str:
    name = DESKTOPS.get(sys.platform)
    return f"{name} is not installed" if name else f"none is known for {sys.platform}"
