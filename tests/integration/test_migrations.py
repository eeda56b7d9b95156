"""The ledger's migrations on a real, empty Postgres database: up, down, up again, and raced."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine.url import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import alphapanda.brokers.paper.tables  # noqa: F401 - registers its tables with Base
from alphapanda.ledger.engine import LedgerUnavailable, create_ledger_engine
from alphapanda.ledger.migrate import LedgerNotMigrated, alembic_config, downgrade, upgrade, verify_head
from alphapanda.ledger.models import Base
from alphapanda.stack import StackEndpoints


@pytest.fixture
async def empty_url(stack_endpoints: StackEndpoints) -> AsyncIterator[str]:
    """The URL of a database without a table."""
    assert stack_endpoints.database_url is not None
    name = f"empty_{uuid4().hex}"
    admin = create_async_engine(stack_endpoints.database_url, isolation_level="AUTOCOMMIT")
    try:
        async with admin.connect() as connection:
            # template0: other tests clone template1's databases meanwhile, and one template serves one copy at a time.
            await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        yield make_url(stack_endpoints.database_url).set(database=name).render_as_string(hide_password=False)
        async with admin.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        await admin.dispose()


@pytest.fixture
async def engine(empty_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_ledger_engine(empty_url)
    yield engine
    await engine.dispose()


async def tables(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def difference(engine: AsyncEngine) -> list[Any]:
    """What a new migration would have to change, as Alembic sees it."""

    def compare(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))

    async with engine.connect() as connection:
        return await connection.run_sync(compare)


async def schema(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    """Every column, index and constraint as Postgres keeps them; two databases with equal ones are alike."""
    statements = (
        "SELECT table_name, column_name, data_type, numeric_precision, numeric_scale, is_nullable, column_default, "
        "identity_generation FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace",
    )
    async with engine.connect() as connection:
        found = [tuple(row) for each in statements for row in (await connection.execute(text(each))).all()]
    return sorted((row for row in found if row[0] != "alembic_version"), key=repr)


async def test_an_empty_database_goes_to_the_head_back_to_nothing_and_to_the_head_again(
    empty_url: str, engine: AsyncEngine
) -> None:
    await upgrade(empty_url)
    assert await tables(engine) == {*Base.metadata.tables, "alembic_version"}
    at_first = await schema(engine)
    await downgrade(empty_url)
    assert await tables(engine) == {"alembic_version"}
    assert await schema(engine) == []
    await upgrade(empty_url)
    assert await schema(engine) == at_first


async def test_the_head_is_what_the_models_say(empty_url: str, engine: AsyncEngine, ledger_engine: AsyncEngine) -> None:
    await upgrade(empty_url)
    assert await difference(engine) == []
    # Autogenerate does not compare all there is (a partial index's condition), so Postgres itself is asked too.
    assert await schema(engine) == await schema(ledger_engine)


async def test_a_difference_would_be_seen(empty_url: str, engine: AsyncEngine) -> None:
    await upgrade(empty_url)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE orders DROP COLUMN tag"))
    assert [change[0] for change in await difference(engine)] == ["add_column", "add_constraint"]


async def test_an_upgrade_may_be_repeated_and_keeps_what_is_stored(empty_url: str, engine: AsyncEngine) -> None:
    await upgrade(empty_url)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO portfolios (broker, created_at) VALUES ('paper', now())"))
    await upgrade(empty_url)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM portfolios")) == 1


async def test_upgrades_that_race_all_arrive(empty_url: str, engine: AsyncEngine) -> None:
    await asyncio.gather(*(upgrade(empty_url) for _ in range(4)))
    await verify_head(engine)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


async def test_a_start_below_the_head_is_refused_with_what_to_do(empty_url: str, engine: AsyncEngine) -> None:
    with pytest.raises(LedgerNotMigrated, match="revision none") as refused:
        await verify_head(engine)
    assert refused.value.code == "LEDGER_NOT_MIGRATED"
    assert "alphapanda bootstrap" in refused.value.next_action
    await upgrade(empty_url)
    await verify_head(engine)
    await downgrade(empty_url)
    with pytest.raises(LedgerNotMigrated):
        await verify_head(engine)


async def test_a_database_from_a_newer_version_is_refused_too(empty_url: str, engine: AsyncEngine) -> None:
    await upgrade(empty_url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'"))
    with pytest.raises(LedgerNotMigrated, match="from_the_future"):
        await verify_head(engine)


async def test_a_server_that_is_not_there_is_named_with_its_setting() -> None:
    with pytest.raises(LedgerUnavailable) as refused:
        await upgrade("postgresql+asyncpg://nobody:secret@127.0.0.1:1/none")
    assert "ALPHAPANDA_DATABASE__URL" in refused.value.next_action
    assert "secret" not in str(refused.value)


async def test_an_upgrade_that_fails_leaves_nothing_half_done(empty_url: str, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE signals (in_the_way integer)"))
    with pytest.raises(Exception, match="signals"):
        await upgrade(empty_url)
    assert await tables(engine) <= {"signals", "alembic_version"}


def test_the_migrations_form_one_line_and_each_can_be_taken_back() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert len(scripts.get_heads()) == 1
    for script in scripts.walk_revisions():
        assert callable(script.module.upgrade)
        assert callable(script.module.downgrade)
