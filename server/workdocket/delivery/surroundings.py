"""What a delivery takes from the surroundings of the process, and only then: a secret, and what programs need."""

from __future__ import annotations

import os
from pathlib import Path

from workdocket.channel import Channel, NotDelivered

PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "DISPLAY", "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "PATHEXT", "SYSTEMROOT", "WINDIR", "COMSPEC", "TEMP", "TMP",
    "USERPROFILE", "APPDATA", "LOCALAPPDATA",
)  # fmt: skip
"""What a program needs that tells somebody something: to be found, to speak a language, to find the desktop."""


def secret_of(channel: Channel) -> str | None:
    """What the webhook's messages are signed with; ``None`` where none is set. Read anew each time, so it can change.

    Raises ``NotDelivered`` where it is not to be had.
    """
    if channel.secret_env is not None:
        found = os.environ.get(channel.secret_env, "").strip()
        missing = f"the environment has no variable {channel.secret_env}"
    elif channel.secret_file is not None:
        found = _first_line(Path(channel.secret_file))
        missing = "secret_file is empty or cannot be read"
    else:
        return None
    if not found:
        raise NotDelivered(missing)
    return found


def _first_line(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip().partition("\n")[0].strip()
    except (OSError, ValueError):
        return ""


def reduced_environment() -> dict[str, str]:
    """The part of this process's environment that programs get."""
    return {name: value for name, value in os.environ.items() if name.upper() in PASSED_ON or name.startswith("LC_")}
