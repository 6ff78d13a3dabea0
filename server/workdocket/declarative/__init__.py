"""Order types without Python: a TOML or YAML file with schemas, batches and one of the ready effects."""

from workdocket.declarative.declaration import DeclaredType, declarations_in, declare
from workdocket.declarative.document import Misdeclared

__all__ = ["DeclaredType", "Misdeclared", "declarations_in", "declare"]
