"""What the API knows: Temporal, each broker's worker, session and switch, the feed."""

from dataclasses import dataclass
from typing import Any

from alphapanda.commands.client import ApiClient
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker, broker_name
from alphapanda.health.check import Check, failed, ok, warning
from alphapanda.sessions.advice import login_action
from alphapanda.settings import Settings

_DEFAULT_ACTION = "Look at GET /health/ready."


@dataclass(frozen=True)
class ThroughApi:
    """`brokers`: those of the running desk, which may be others than this command's settings say; None: not known."""

    checks: list[Check]
    brokers: tuple[Broker, ...] | None = None


def check_api(settings: Settings) -> ThroughApi:
    try:
        with ApiClient.of(settings) as api:
            ready = api.ready()
    except AlphaPandaError as error:
        return ThroughApi([failed("api", error.message, error.next_action)])
    checks = [ok("api", "answers")]
    checks += [_part(name, part, required=part["required"]) for name, part in ready["components"].items()]
    for broker in ready["brokers"]:
        checks += _broker(broker)
    if ready["brokers"]:
        checks.append(_part("feed", ready["brokers"][0]["feed"], required=False))
    return ThroughApi(checks, tuple(broker_name(broker["broker"]) for broker in ready["brokers"]))


def _broker(broker: dict[str, Any]) -> list[Check]:
    name, session, switch = broker["broker"], broker["session"], broker["switch"]
    checks = [_part(f"broker worker ({name})", broker["worker"], required=True)]
    component = f"session ({name})"
    if session in ("EXPIRED", "LOGIN_REQUIRED"):
        checks.append(failed(component, session, login_action(name)))
    elif session == "UNKNOWN":  # the first call shows whether it lives
        checks.append(ok(component, "not used yet"))
    else:
        checks.append(ok(component, session))
    if switch not in (None, "ENABLED"):
        resume = f"When it may go on: `alphapanda brokers resume {name}`."
        checks.append(warning(f"trading ({name})", switch, resume))
    return checks


def _part(component: str, part: dict[str, Any], *, required: bool) -> Check:
    if part["status"] == "up":
        return ok(component, part["detail"])
    make = failed if required else warning
    return make(component, part["detail"], part["next_action"] or _DEFAULT_ACTION)
