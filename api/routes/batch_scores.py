"""`GET /api/batch-scores`: how the live model does on fresh feedback, over time."""

from typing import Annotated

from fastapi import Query

from api import examples
from api.context import StoreDep
from api.problems import declared
from api.security import scoped
from core.errors import InvalidRequest
from core.evaluation.fresh import list_batch_scores
from core.schemas import BatchScoreView

router = scoped("feed")


@router.get(
    "/batch-scores",
    summary="How the live model does on fresh feedback, newest batch first",
    tags=["feedback"],
    responses={
        200: {"content": {"application/json": {"example": [examples.BATCH_SCORE]}}},
        **declared(InvalidRequest),
    },
)
def list_all(
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=1_000, description="At most so many batches.")] = 100,
) -> list[BatchScoreView]:
    """Each batch scored by the model that was live when it came in, before it learned from the batch."""
    return list_batch_scores(store, limit)
