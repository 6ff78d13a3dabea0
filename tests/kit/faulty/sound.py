"""Nothing is wrong with this one."""

from tests.kit.faulty._shelf import Shelf, on_a_shelf


class Sound(Shelf):
    name = "faulty.sound"


EXPECTED = None
EXAMPLES = [on_a_shelf()]
