"""All checks, as one report."""

import asyncio
from dataclasses import asdict, dataclass

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.endpoints import Endpoints, resolve_endpoints
from alphapanda.health.check import Check, CheckStatus, failed, ok
from alphapanda.health.machine import check_data_dir, check_disk, check_python
from alphapanda.health.servers import check_postgres, check_redis, check_temporal
from alphapanda.health.through_api import check_api
from alphapanda.redaction import hide_secrets_of, redact_text
from alphapanda.running.whereabouts import api_url
from alphapanda.settings import Settings, SettingsError


@dataclass(frozen=True)
class Report:
    """`endpoints` by name, without passwords; empty while nothing runs."""

    checks: tuple[Check, ...]
    endpoints: dict[str, str]

    @property
    def is_ok(self) -> bool:
        return all(check.status is not CheckStatus.FAILED for check in self.checks)

    def as_json(self) -> dict[str, object]:
        checks = [{**asdict(check), "status": check.status.value} for check in self.checks]
        return {"ok": self.is_ok, "checks": checks, "endpoints": self.endpoints}


async def examine() -> Report:
    """Everything at once; a check that cannot be made says why, and the others are made all the same."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        return Report((check_python(), failed("settings", redact_text(error.message), error.next_action)), {})
    hide_secrets_of(settings)
    through_api = await asyncio.to_thread(check_api, settings)
    brokers = through_api.brokers or settings.active_brokers
    checks = [
        check_python(),
        ok("settings", f"{settings.environment}, brokers {', '.join(brokers)}, feed {settings.feed.source}"),
        check_data_dir(settings.data_dir),
        check_disk(settings.data_dir),
    ]
    try:
        endpoints = resolve_endpoints(settings)
    except AlphaPandaError as error:
        checks.append(failed("servers", error.message, error.next_action))
        return Report((*checks, *through_api.checks), {"api": api_url(settings)})
    found = await asyncio.gather(check_postgres(endpoints), check_redis(endpoints, brokers), check_temporal(endpoints))
    servers = (check for group in found for check in group)
    return Report((*checks, *servers, *through_api.checks), _public(settings, endpoints))


def _public(settings: Settings, endpoints: Endpoints) -> dict[str, str]:
    addresses = {
        "api": api_url(settings),
        "database": endpoints.database_url,
        "redis": endpoints.redis_url,
        "temporal": endpoints.temporal_address,
        "temporal_ui": endpoints.temporal_ui_url,
    }
    return {name: redact_text(address) for name, address in addresses.items() if address}
