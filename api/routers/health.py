"""Health: live says that the process answers; ready says what works, what does not, and what to do about it."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from alphapanda import __version__
from api.dependencies import ServicesDep
from api.readiness import readiness
from api.schemas.health import EXAMPLE_READY, LiveOut, ReadyOut, Status

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", summary="Is the process alive")
async def live() -> LiveOut:
    """200 whenever the process can answer at all; asks nobody. Needs no token."""
    return LiveOut(status=Status.UP, version=__version__)


@router.get(
    "/ready",
    summary="Can it do its work",
    responses={
        503: {
            "description": "A required component is down.",
            "model": ReadyOut,
            "content": {"application/json": {"example": {**EXAMPLE_READY, "status": "down"}}},
        }
    },
)
async def ready(services: ServicesDep, response: Response) -> ReadyOut:
    """Per component and per broker, all asked at once, each for a second at most. Needs no token."""
    found = await readiness(services)
    if found.status is Status.DOWN:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return found
