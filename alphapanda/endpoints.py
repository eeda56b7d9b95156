"""Where the servers are: what the settings say, else the embedded stack that runs on the data directory."""

from dataclasses import dataclass

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.settings import Settings
from alphapanda.stack import read_endpoints


class StackNotRunning(AlphaPandaError):  # noqa: N818 - named for the condition
    """A server's address is not set and no embedded stack runs on the data directory."""

    code = "STACK_NOT_RUNNING"
    default_next_action = "Start it with `alphapanda up`, or set the named variable to a server of your own."


@dataclass(frozen=True, slots=True, repr=False)
class Endpoints:
    """Addresses of the three servers. The URLs may hold passwords: never log them."""

    database_url: str
    redis_url: str
    temporal_address: str
    temporal_ui_url: str | None


def resolve_endpoints(settings: Settings) -> Endpoints:
    """Each address from the settings, or from the running embedded stack. Raises StackNotRunning naming what lacks."""
    database, redis = settings.database.url, settings.redis.url
    address, ui_url = settings.temporal.address, settings.temporal.ui_url
    embedded = None
    if database is None or redis is None or address is None:
        embedded = read_endpoints(settings.data_dir)
    wanted = {
        "DATABASE__URL": database.get_secret_value() if database else embedded and embedded.database_url,
        "REDIS__URL": redis.get_secret_value() if redis else embedded and embedded.redis_url,
        "TEMPORAL__ADDRESS": address or (embedded and embedded.temporal_address),
    }
    for name, value in wanted.items():
        if not value:
            raise StackNotRunning(
                f"ALPHAPANDA_{name} is not set, and no embedded stack runs on {settings.data_dir.absolute()}"
            )
    return Endpoints(
        database_url=str(wanted["DATABASE__URL"]),
        redis_url=str(wanted["REDIS__URL"]),
        temporal_address=str(wanted["TEMPORAL__ADDRESS"]),
        temporal_ui_url=ui_url or (embedded.temporal_ui_url if embedded else None),
    )
