"""How clients, workers and the replayer see Temporal: one plugin, so that all of them agree."""

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.plugin import SimplePlugin
from temporalio.service import TLSConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.ledger_steps import LedgerActivities
from activities.log_context import LogContext
from alphapanda import __version__
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.charges import ChargeTable
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import ORDERS_TASK_QUEUE
from alphapanda.endpoints import Endpoints
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.risk.book import Limits
from alphapanda.settings import Settings
from workflows.broker import BrokerWorkflow
from workflows.order import OrderWorkflow

WORKFLOWS: Sequence[type] = (OrderWorkflow, BrokerWorkflow)

PASSED_THROUGH = ("alphapanda", "activities", "workflows", "pydantic", "pydantic_core", "annotated_types")
"""Safe to share between runs: the domain is pure, the activities' modules hold signatures and messages only, and a
contract keeps everything else out of workflow imports."""


class WorkflowsUnavailable(AlphaPandaError):  # noqa: N818 - named for the condition
    """Temporal cannot be reached, or no worker answers."""

    code = "TEMPORAL_UNAVAILABLE"
    default_next_action = "Start Temporal and a worker (or `alphapanda up`), or correct ALPHAPANDA_TEMPORAL__ADDRESS."


def sandbox() -> WorkflowRunner:
    """The runner that refuses what is not deterministic (clock, randomness, I/O). All tests run workflows in it."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))


def plugin(*, sandboxed: bool = False) -> SimplePlugin:
    """Converter, interceptors and runner of everything that speaks to Temporal.

    In production workflows run without the sandbox, which costs a fifth of an order's processor time; what it
    guards against is caught before: every test runs in it, and stored histories are replayed.
    """
    return SimplePlugin(
        "alphapanda",
        data_converter=pydantic_data_converter,
        interceptors=[LogContext()],
        workflow_runner=sandbox() if sandboxed else UnsandboxedWorkflowRunner(),
    )


async def connect(settings: Settings, endpoints: Endpoints) -> Client:
    """A client of the configured Temporal. Raises WorkflowsUnavailable."""
    temporal = settings.temporal
    tls: TLSConfig | bool = temporal.tls
    if temporal.tls_server_root_ca or temporal.tls_client_cert:
        tls = TLSConfig(
            server_root_ca_cert=_bytes(temporal.tls_server_root_ca),
            client_cert=_bytes(temporal.tls_client_cert),
            client_private_key=_bytes(temporal.tls_client_key),
        )
    try:
        return await Client.connect(
            endpoints.temporal_address,
            namespace=temporal.namespace,
            api_key=temporal.api_key.get_secret_value() if temporal.api_key else None,
            tls=tls,
            identity=identity("client"),
            plugins=[plugin()],
        )
    except RuntimeError as error:
        raise WorkflowsUnavailable(f"Temporal at {endpoints.temporal_address} cannot be reached") from error


def _bytes(path: Any) -> bytes | None:
    return None if path is None else path.read_bytes()


def identity(role: str) -> str:
    """Who polls or calls, as the web UI shows it: `alphapanda-orders@host:pid`."""
    return f"alphapanda-{role}@{socket.gethostname()}:{os.getpid()}"


def deployment(name: str) -> WorkerDeploymentConfig:
    """Version information of a worker. Versioned routing itself is not switched on: any worker takes any task."""
    from temporalio.common import WorkerDeploymentVersion  # noqa: PLC0415

    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=f"alphapanda-{name}", build_id=__version__),
        use_worker_versioning=False,
    )


def orders_worker(client: Client, engine: LedgerEngine, redis: "Redis", settings: Settings) -> Worker:
    """The worker of the `orders` queue: all workflows and the ledger steps.

    A process that starts orders runs one on the same client, so that Temporal hands it the first task at once.
    """
    return Worker(
        client,
        task_queue=ORDERS_TASK_QUEUE,
        workflows=WORKFLOWS,
        activities=ledger_activities(engine, redis, settings),
        identity=identity("orders"),
        deployment_config=deployment("orders"),
        max_cached_workflows=5000,
        max_concurrent_local_activities=64,
        no_remote_activities=True,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=timedelta(seconds=10),
    )


def ledger_activities(engine: LedgerEngine, redis: "Redis", settings: Settings) -> list[Any]:
    limits = Limits.model_validate(settings.risk.model_dump())
    at_play = limits.model_copy(update={"max_dump_age_days": None})  # where no money is lost by an old tick size
    steps = LedgerActivities(
        engine=engine,
        redis=redis,
        limits={
            broker: limits if settings.trades_real_money_at(broker) else at_play for broker in settings.active_brokers
        },
        calendar=market_calendar(settings),
        charges=ChargeTable.packaged(),
    )
    return [steps.check_order, steps.record_order, steps.check_change, steps.set_switch, steps.set_session]


def market_calendar(settings: Settings) -> Calendar | None:
    """The sessions to trade in; None while every hour counts as open (a rehearsal)."""
    if settings.is_rehearsal:
        return None
    file = settings.market.calendar_file
    return Calendar.packaged() if file is None else Calendar.from_file(file)
