"""The ways out: a message sent to a webhook, given to a command, or shown on the desktop."""

from __future__ import annotations

from workdocket.channel import Channel, Message
from workdocket.delivery import command, desktop


async def deliver(channel: Channel, message: Message, now: int) -> None:
    """Send a message by a channel, once. ``now`` in milliseconds. Raises ``NotDelivered``."""
    if channel.webhook:
        from workdocket.delivery import webhook  # an HTTP client takes a while to import, and most need none

        await webhook.post(channel, message, now)
    elif channel.command:
        await command.run(channel.command, message.body)
    else:
        await desktop.show(message)
