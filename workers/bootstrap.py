"""Bootstrap: migrate the ledger, register search attributes, start the brokers' workflows. Safe to repeat."""

import asyncio
import sys
from datetime import UTC, datetime

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client

from alphapanda.edge import at_the_edge
from alphapanda.endpoints import resolve_endpoints
from alphapanda.ledger.brokers import register_brokers
from alphapanda.ledger.engine import create_ledger_engine
from alphapanda.ledger.migrate import upgrade, verify_head
from alphapanda.settings import Settings
from alphapanda.stack.temporal import SEARCH_ATTRIBUTES
from workflows.desk import OrderDesk, order_policy
from workflows.runtime import connect


async def bootstrap(settings: Settings) -> None:
    """Raises AlphaPandaError naming what could not be prepared."""
    endpoints = resolve_endpoints(settings)
    await upgrade(endpoints.database_url)
    engine = create_ledger_engine(endpoints.database_url, pool_size=1)
    try:
        await verify_head(engine)
        await register_brokers(engine, settings.active_brokers, now=datetime.now(UTC))
        client = await connect(settings, endpoints)
        await add_search_attributes(client)
        desk = OrderDesk(client, engine, order_policy(settings))
        for broker in settings.active_brokers:
            await desk.ensure_broker(broker)
    finally:
        await engine.dispose()


async def add_search_attributes(client: Client) -> None:
    """Register the keyword attributes that are missing in the client's namespace."""
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = [name for name in SEARCH_ATTRIBUTES if name not in known.custom_attributes]
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes=dict.fromkeys(missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
            )
        )


def _main() -> None:
    asyncio.run(bootstrap(Settings.load()))
    sys.stdout.write("ready: ledger migrated, search attributes registered, broker workflows running\n")


if __name__ == "__main__":
    sys.exit(at_the_edge(_main))
