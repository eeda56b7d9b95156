"""The embedded servers behind `alphapanda up`."""

from alphapanda.stack.errors import StackStartError
from alphapanda.stack.stack import EmbeddedStack, StackEndpoints, read_endpoints

__all__ = ["EmbeddedStack", "StackEndpoints", "StackStartError", "read_endpoints"]
