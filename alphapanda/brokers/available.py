"""Which brokers this version trades with. Imports little: a start refuses the others before it opens anything."""

from collections.abc import Iterable

from alphapanda.domain.ids import Broker
from alphapanda.settings import SettingsError

_ADAPTERS = frozenset({"paper", "zerodha"})


def require_adapters(brokers: Iterable[Broker]) -> None:
    known = ", ".join(sorted(_ADAPTERS))
    for name in brokers:
        if name not in _ADAPTERS:
            raise SettingsError(f"ALPHAPANDA_ACTIVE_BROKERS: {name} has no adapter in this version; use one of {known}")
