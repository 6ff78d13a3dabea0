"""``python -m workdocket``."""

from workdocket.surfaces.cli import main

main()
