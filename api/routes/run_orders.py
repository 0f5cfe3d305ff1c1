"""How a run is told to end, and an ended one to begin again."""

from typing import Annotated, Any

from fastapi import Query, Response

from api import examples
from api.context import RunId, StoreDep
from api.problems import declared
from api.security import Actor, ActorDep, scoped
from core.errors import InvalidRequest, NotFound, RunEnded, RunNotRetryable
from core.jobs import service
from core.schemas import RunView
from core.store import Store
from core.store.runs import Wish
from core.store.states import ENDED

router = scoped("operate")

_ENDS: dict[int | str, dict[str, Any]] = {
    200: {"model": RunView, "description": "The run has ended in this way."},
    202: {
        "description": "The run will end within moments; look at it again.",
        "content": {"application/json": {"example": examples.STOPPING_RUN}},
    },
    **declared(InvalidRequest, NotFound, RunEnded),
}
_BEGINS: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "The new run.",
        "headers": {"Location": {"schema": {"type": "string"}, "description": "Address of the new run."}},
        "content": {"application/json": {"example": examples.RETRY}},
    },
    **declared(InvalidRequest, NotFound, RunNotRetryable),
}
_FROM_START_HELP = "Learn everything anew, in place of going on behind the last epoch that was kept."


@router.post(
    "/runs/{run_id}/stop",
    summary="Stop a run and keep its best",
    tags=["runs"],
    status_code=202,
    responses=_ENDS,
)
def stop(run_id: RunId, store: StoreDep, actor: ActorDep, response: Response) -> RunView:
    """The run ends at its next batch, and the best epoch so far is judged as a candidate.

    A run that has learned nothing yet is cancelled. Asking again changes nothing.
    """
    return _end(store, run_id, "stop", actor, response)


@router.post(
    "/runs/{run_id}/cancel",
    summary="Cancel a run and discard what it made",
    tags=["runs"],
    status_code=202,
    responses=_ENDS,
)
def cancel(run_id: RunId, store: StoreDep, actor: ActorDep, response: Response) -> RunView:
    """Nothing stays but the record of the run. It outweighs a stop; asking again changes nothing."""
    return _end(store, run_id, "cancel", actor, response)


def _end(store: Store, run_id: str, wish: Wish, actor: Actor, response: Response) -> RunView:
    run = service.ask_to_end(store, run_id, wish, actor.name)
    response.status_code = 200 if run.status in ENDED else 202
    return run


@router.post(
    "/runs/{run_id}/retry",
    summary="Do a failed or cancelled run once more",
    tags=["runs"],
    status_code=201,
    responses=_BEGINS,
)
def retry(
    run_id: RunId,
    store: StoreDep,
    actor: ActorDep,
    response: Response,
    from_start: Annotated[bool, Query(description=_FROM_START_HELP)] = False,
) -> RunView:
    """A new run on the same batch, which goes on where the failed one stood if that is possible."""
    run = service.retry(store, run_id, actor.name, from_start=from_start)
    response.headers["Location"] = f"/api/runs/{run.id}"
    return run
