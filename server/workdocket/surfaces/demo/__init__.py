"""The main job, run for real: servers as subprocesses, MCP clients, real records, a real database in the end."""

from workdocket.surfaces.demo.play import run

__all__ = ["run"]
