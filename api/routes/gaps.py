"""`POST /api/samples/fill-gaps`: boxes that the champion is sure of, where nobody drew one."""

from typing import Annotated

from fastapi import Body

from api import examples
from api.context import StoreDep
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import InvalidRequest, NotFound
from core.feedback import gaps
from core.schemas import FilledSample, FillGapsRequest

router = scoped("operate")


@router.post(
    "/samples/fill-gaps",
    summary="Add what the champion is sure of where nobody drew a box",
    tags=["review"],
    response_description="What became of each sample, in the order that was asked for.",
    responses={
        200: {"content": {"application/json": {"example": examples.FILLED_SAMPLES}}},
        **declared(InvalidRequest, NotFound),
    },
)
def fill(
    store: StoreDep,
    actor: ActorDep,
    body: Annotated[FillGapsRequest, Body(examples=[examples.FILL_GAPS])],
) -> list[FilledSample]:
    """Each sample that waits for review gets a new version of its boxes; those that were added say so.

    What people drew rules: no box is added where one was drawn, and none is changed.
    """
    return gaps.fill_gaps(store, body.sample_ids, actor.name, body.min_confidence)
