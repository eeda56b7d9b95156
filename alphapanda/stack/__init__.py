"""The embedded servers behind `alphapanda up`."""

from alphapanda.stack.errors import StackStartError
from alphapanda.stack.stack import EmbeddedStack, StackEndpoints, erase, read_endpoints, stored

__all__ = ["EmbeddedStack", "StackEndpoints", "StackStartError", "erase", "read_endpoints", "stored"]
