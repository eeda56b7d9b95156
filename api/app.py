"""The FastAPI app, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Security
from fastapi.responses import HTMLResponse, JSONResponse

from alphapanda import __version__
from alphapanda.credentials import admin_token
from alphapanda.settings import Environment, Settings
from api.auth import BearerAuthMiddleware, bearer_scheme
from api.correlation import CorrelationMiddleware
from api.docs import render
from api.limits import BodyLimitMiddleware
from api.openapi import document
from api.problems import UnexpectedErrorMiddleware, add_problem_handlers
from api.routers import brokers, callbacks, drift, health, instruments, orders, portfolios, signals, strategies
from api.services import Services

PREFIX = "/api/v1"
OPENAPI_PATH = f"{PREFIX}/openapi.json"
USUAL_OPENAPI_PATH = "/openapi.json"  # where tools look for it by themselves
DOCS_PATH = "/docs"

_DESCRIPTION = (
    "A crash-proof order desk. Decimals are strings, times are RFC 3339 in UTC, errors are RFC 9457 problem documents "
    "with a stable `code`. Lists answer `{items, next_cursor}`. Send `X-Correlation-ID` to find a request again in "
    "logs, workflows and ledger; without one it is made and returned."
)


def create_app(settings: Settings) -> FastAPI:
    """Raises SettingsError where no admin token can be had; anything else that is missing shows in /health/ready."""
    token = admin_token(settings)
    public = {*settings.api.public_paths, *callbacks.public_paths(PREFIX, settings.active_brokers)}
    if settings.environment is Environment.DEVELOPMENT:
        public |= {DOCS_PATH, OPENAPI_PATH, USUAL_OPENAPI_PATH}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.services = Services(settings)
        async with app.state.services.running():
            yield

    app = FastAPI(
        title="alphapanda",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI_PATH,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    guarded = APIRouter(prefix=PREFIX, dependencies=[Security(bearer_scheme)])
    for part in (signals, orders, portfolios, brokers, drift, instruments, strategies):
        guarded.include_router(part.router)
    # Before the others: /brokers/zerodha/postback is no /brokers/{broker}/….
    app.include_router(callbacks.router, prefix=PREFIX)
    app.include_router(guarded)
    app.include_router(health.router, prefix=PREFIX)
    app.include_router(health.router, include_in_schema=False)

    @app.get(USUAL_OPENAPI_PATH, include_in_schema=False)
    async def usual_openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    @app.get(DOCS_PATH, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(render(app.openapi()))

    add_problem_handlers(app)
    # The last added is the outermost: id, the net for the unexpected, who may call, how much they may send.
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(BearerAuthMiddleware, token=token, public_paths=public)
    app.add_middleware(UnexpectedErrorMiddleware)
    app.add_middleware(CorrelationMiddleware)
    return app
