"""`/api/runs/{run_id}/report`: all of a run in one page."""

from fastapi.responses import HTMLResponse

from api.context import RunId, StoreDep
from api.problems import declared
from api.security import scoped
from core.errors import InvalidRequest, NotFound
from core.registry.report import render

router = scoped("feed")

# Texts of strangers are in it: whatever they are, nothing runs and nothing is fetched.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
}


@router.get(
    "/runs/{run_id}/report",
    summary="The report of a run",
    tags=["runs"],
    response_class=HTMLResponse,
    responses=declared(InvalidRequest, NotFound),
)
def send(run_id: RunId, store: StoreDep) -> HTMLResponse:
    """One HTML file with data, recipe, curves, scores, verdict and images, which needs nothing else."""
    return HTMLResponse(render(store, run_id), headers=_HEADERS)
