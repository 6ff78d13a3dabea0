"""A message on the desktop of the machine that this process runs on, by the program that the platform has for it."""

from __future__ import annotations

import sys

from workdocket.channel import Message, NotDelivered, desktop_program
from workdocket.delivery.command import run

APPLESCRIPT = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"

TOAST = """
$said = [Console]::In.ReadToEnd() -split "`n", 2
[void][Windows.UI.Notifications.ToastNotificationManager, Windows.UI.Notifications, ContentType = WindowsRuntime]
$toast = [Windows.UI.Notifications.ToastNotificationManager]::GetTemplateContent('ToastText02')
$lines = $toast.GetElementsByTagName('text')
0..1 | ForEach-Object { [void]$lines.Item($_).AppendChild($toast.CreateTextNode($said[$_])) }
$shell = '{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}\\WindowsPowerShell\\v1.0\\powershell.exe'
[Windows.UI.Notifications.ToastNotificationManager]::CreateToastNotifier($shell).Show($toast)
"""
"""The texts come on standard input and go in as text: none of them is ever part of the script."""


async def show(message: Message) -> None:
    """Show title and text. Raises ``NotDelivered``, also where there is no desktop."""
    program = desktop_program()
    if program is None:
        raise NotDelivered("this machine has no program that shows messages")
    await run([program, *arguments(sys.platform, message)], f"{message.title}\n{message.text}".encode())


def arguments(platform: str, message: Message) -> list[str]:
    """For the program of a platform."""
    return {
        "darwin": ["-e", APPLESCRIPT, message.title, message.text],
        "win32": ["-NoProfile", "-NonInteractive", "-Command", TOAST],
    }.get(platform, ["--app-name=workdocket", "--", message.title, message.text])
