"""`python -m api.app` serves the API; `create_app` builds it."""

import argparse
import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from api.access_log import AccessLog
from api.limits import IMAGES, IMPORTS, max_body_bytes
from api.log import log, log_file
from api.metrics import expose_metrics
from api.openapi import describe
from api.problems import handle_problems
from api.routes import (
    batch_scores,
    checkpoints,
    comparisons,
    exports,
    feedback,
    finetune,
    gaps,
    health,
    images,
    imports,
    model,
    onnx,
    provenance,
    quarantine,
    reports,
    retrain,
    run_events,
    run_orders,
    runs,
    sample_images,
    samples,
    webhooks,
)
from api.security import DEMO_IMAGES, Guard, check_binding
from core import __version__
from core.config import Settings, get_settings
from core.errors import InsecureBinding
from core.jobs.service import Keeper
from core.store import Store

# In the order of the API's description.
_WITH_ROUTES = (
    finetune, feedback, quarantine, gaps, batch_scores, retrain, runs, run_events, run_orders,
    reports, checkpoints, comparisons, provenance, samples, sample_images, exports, webhooks, health,
)  # fmt: skip
_KEEPER_LOOKS_EVERY_S = 5.0
_LAST_ANSWERS_S = 10


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API; it opens its store when it starts and closes it when it stops.

    Args:
        settings: Those of the process when left out.
    """
    settings = settings or get_settings()
    app = FastAPI(
        title="Thermal fault detector fine-tuning",
        version=__version__,
        lifespan=_lifespan,
        middleware=[Middleware(AccessLog), Middleware(Guard, settings=settings)],
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.settings = settings
    app.state.stopping = threading.Event()
    handle_problems(app)
    for module in _WITH_ROUTES:
        app.include_router(module.router)
    for router in (model.reading, model.changing, onnx.reading, onnx.changing):
        app.include_router(router)
    for router, path in ((images.router, IMAGES), (imports.router, IMPORTS)):
        app.include_router(router, max_body_size=max_body_bytes(path, settings))
    expose_metrics(app)
    if settings.is_demo:
        app.mount(DEMO_IMAGES, _DemoImages(directory=settings.demo_dir / "feedback", check_dir=False))
    describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    with Store.open(app.state.settings) as store, log_file(app.state.settings):
        app.state.store = store
        watch = asyncio.create_task(_look_after_runs(Keeper(store)))
        yield
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch


async def _look_after_runs(keeper: Keeper) -> None:
    while True:
        await run_in_threadpool(_look, keeper)
        await asyncio.sleep(_KEEPER_LOOKS_EVERY_S)


def _look(keeper: Keeper) -> None:
    """See to it that no run is left alone: callers wait for them."""
    try:
        keeper.look()
    except Exception:  # noqa: BLE001 - whatever it is, the API serves on
        log.exception("the runs could not be looked after")


class _DemoImages(StaticFiles):
    """The demo's feedback images, whose folder is made only when the demo is built."""

    async def check_config(self) -> None:
        """A folder that is not there yet holds no file, and that is all."""


class Server(uvicorn.Server):
    """A server that tells waiting callers that it stops, instead of hanging up on them."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.api_host,
                port=settings.api_port,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_ANSWERS_S,
            )
        )
        self._stopping: threading.Event = app.state.stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop taking calls, and let those that wait be answered."""
        self._stopping.set()
        super().handle_exit(sig, frame)


def serve(settings: Settings) -> None:
    """Serve the API until the process is told to stop.

    Raises:
        InsecureBinding: If the address is not loopback and no API key exists.
    """
    with Store.open(settings) as store:
        check_binding(store, settings.api_host)
    Server(create_app(settings), settings).run()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m api.app", description="Serve the fine-tuning API.")
    parser.add_argument("--openapi", action="store_true", help="print the OpenAPI document and end")
    if parser.parse_args().openapi:
        sys.stdout.write(json.dumps(create_app().openapi(), indent=2) + "\n")
        return
    try:
        serve(get_settings())
    except InsecureBinding as error:
        sys.exit(error.detail)


if __name__ == "__main__":
    main()
