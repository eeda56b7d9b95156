"""`python -m workers.run [--broker NAME]… [--only feed|orders|broker]`: the worker processes, supervised.

Without `--only` it runs the orders worker and the brokers' workers; the feed is a role that is asked for by name, for
two machines with a feed each would be two sources. Children write where this process writes.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import structlog

from alphapanda.domain.ids import Broker
from alphapanda.edge import at_the_edge
from alphapanda.logging import configure_logging
from alphapanda.running.children import Child, Notice, Turn
from alphapanda.running.roles import WorkerRole, worker_children
from alphapanda.running.stopping import StopRequest
from alphapanda.running.supervisor import Supervisor
from alphapanda.settings import Settings, SettingsError
from alphapanda.stack.process import die_with_parent

_log = structlog.get_logger(__name__)


def chosen_brokers(settings: Settings, named: Sequence[str]) -> tuple[Broker, ...]:
    """The named brokers, or all active ones. Raises SettingsError for one that is not active."""
    for name in named:
        if name not in settings.active_brokers:
            raise SettingsError(
                f"--broker {name}: it is not among ALPHAPANDA_ACTIVE_BROKERS ({', '.join(settings.active_brokers)})",
                next_action="Name an active broker, or add it to ALPHAPANDA_ACTIVE_BROKERS and start again.",
            )
    return tuple(dict.fromkeys(Broker(name) for name in named)) or settings.active_brokers


def chosen_children(settings: Settings, *, brokers: Sequence[str], only: str | None) -> list[Child]:
    """What to run. `brokers` limits the broker role; the other roles serve every active broker."""
    roles = [WorkerRole(only)] if only else [WorkerRole.ORDERS, WorkerRole.BROKER]
    return worker_children(settings, roles, chosen_brokers(settings, brokers))


async def supervise(children: Sequence[Child]) -> None:
    """Keep them alive until a signal asks to stop, or all of them have finished."""
    stop = StopRequest()
    async with Supervisor(children, notify=log_notice) as supervisor:
        stop.on_hurry(supervisor.kill)
        finished = asyncio.create_task(supervisor.until_all_finished())
        asked = asyncio.create_task(stop.asked.wait())
        await asyncio.wait((finished, asked), return_when=asyncio.FIRST_COMPLETED)
        if stop.signal is not None:
            _log.info("stopping", signal=stop.signal.name)
        asked.cancel()
        await supervisor.stop()
        await finished


def log_notice(notice: Notice) -> None:
    facts: dict[str, object] = {"child": notice.child.name, "pid": notice.pid}
    match notice.turn:
        case Turn.STARTED:
            _log.info("child started", **facts)
        case Turn.STOPPED | Turn.FINISHED:
            _log.info(f"child {notice.turn}", **facts, status=notice.status)
        case Turn.KILLED:
            _log.error("child killed: it did not end in time", **facts)
        case Turn.DIED:
            facts |= {"status": notice.status, "restart_in_s": notice.restart_in_s, "deaths": notice.quick_deaths}
            if notice.last_words:
                facts["last_words"] = notice.last_words
            if notice.is_alarming:
                _log.error("child keeps dying; it is started again, but something must be put right", **facts)
            else:
                _log.warning("child died; it is started again", **facts)


def main(arguments: Sequence[str] | None = None) -> int:
    die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m workers.run", description="Run the worker processes.")
    parser.add_argument("--broker", action="append", default=[], metavar="NAME", help="repeatable; default: all active")
    parser.add_argument("--only", choices=[role.value for role in WorkerRole], help="run this role alone")
    given = parser.parse_args(arguments)

    def run() -> None:
        settings = Settings.load()
        children = chosen_children(settings, brokers=given.broker, only=given.only)
        configure_logging(settings, "supervisor")
        asyncio.run(supervise(children))

    return at_the_edge(run)


if __name__ == "__main__":
    sys.exit(main())
