"""`/api/samples`: what came in, as reviewers see it, and what they say of it.

Who changes a sample sends the revision that he saw, as `If-Match` or, for many, beside each id.
"""

from typing import Annotated, Any

from fastapi import Body, Header, Query, Request, Response
from pydantic import Field

from api import review_examples as examples
from api.context import SampleId, StoreDep
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import (
    BoxesRefused,
    InvalidRequest,
    NotFound,
    NothingToUndo,
    SampleNotReviewable,
    StaleSample,
    TmsError,
)
from core.feedback import review
from core.feedback.bulk_review import give_verdicts
from core.feedback.samples import count_samples, get_sample, list_samples
from core.registry import publish
from core.schemas_review import (
    BulkVerdictRequest,
    BulkVerdictResult,
    CorrectionRequest,
    SampleCounts,
    SampleFilter,
    SampleOrder,
    SampleSummary,
    SampleView,
    VerdictRequest,
)
from core.store import Store

router = scoped("operate")

_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The revision, for `If-Match`."}}
_SAMPLE: dict[str, Any] = {
    "headers": _ETAG,
    "content": {"application/json": {"example": examples.SAMPLE}},
}
_IF_MATCH_HELP = "The `ETag` of the sample as you saw it: its revision in quotes."

IfMatch = Annotated[str, Header(pattern=r'^(W/)?"[0-9]{1,9}"$', description=_IF_MATCH_HELP)]


class SampleQuery(SampleOrder):
    """A page of a list."""

    limit: int = Field(50, ge=1, le=200, description="Samples per page.")
    cursor: str | None = Field(None, max_length=200, description="From `Link` of the page before.")


def _changed(*errors: type[TmsError]) -> dict[int | str, dict[str, Any]]:
    return {200: _SAMPLE, **declared(InvalidRequest, NotFound, StaleSample, SampleNotReviewable, *errors)}


@router.get(
    "/samples",
    summary="List samples",
    tags=["review"],
    responses={
        200: {
            "headers": {"Link": {"schema": {"type": "string"}, "description": "`rel=next`: the next page."}},
            "content": {"application/json": {"example": [examples.SUMMARY]}},
        },
        **declared(InvalidRequest),
    },
)
def list_all(
    request: Request, response: Response, store: StoreDep, asked: Annotated[SampleQuery, Query()]
) -> list[SampleSummary]:
    """Samples of all batches under a filter; any page takes as long as the first."""
    page = list_samples(store, asked, limit=asked.limit, cursor=asked.cursor)
    if page.next_cursor is not None:
        following = request.url.include_query_params(cursor=page.next_cursor)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return page.samples


@router.get(
    "/samples/counts",
    summary="Count samples",
    tags=["review"],
    responses={
        200: {"content": {"application/json": {"example": examples.COUNTS}}},
        **declared(InvalidRequest),
    },
)
def count_all(store: StoreDep, asked: Annotated[SampleFilter, Query()]) -> SampleCounts:
    """How many samples there are under a filter, and how many for each other status and class."""
    return count_samples(store, asked)


@router.post(
    "/samples/verdicts",
    summary="Give one verdict on many samples",
    tags=["review"],
    responses={
        200: {"content": {"application/json": {"example": examples.BULK_RESULT}}},
        **declared(InvalidRequest, StaleSample),
    },
)
def decide_on_many(
    body: Annotated[BulkVerdictRequest, Body(openapi_examples=examples.BULK_VERDICTS)],
    store: StoreDep,
    actor: ActorDep,
) -> BulkVerdictResult:
    """Each is decided on its own, and the answer tells of each.

    A sample that was changed since you saw it stays as it is and holds up none of the others.
    """
    return give_verdicts(store, body, actor=actor.name)


@router.get(
    "/samples/{sample_id}",
    summary="One sample",
    tags=["review"],
    responses={200: _SAMPLE, **declared(InvalidRequest, NotFound)},
)
def get_one(
    sample_id: SampleId, store: StoreDep, response: Response, asked: Annotated[SampleOrder, Query()]
) -> SampleView:
    """All its boxes and its history, and the samples before and after it in the list that is asked for."""
    return _shown(store, sample_id, response, asked)


@router.put(
    "/samples/{sample_id}/detections",
    summary="Correct the boxes of a sample",
    tags=["review"],
    responses=_changed(BoxesRefused),
)
def correct(
    sample_id: SampleId,
    body: Annotated[CorrectionRequest, Body(openapi_examples=examples.CORRECTIONS)],
    if_match: IfMatch,
    store: StoreDep,
    actor: ActorDep,
    response: Response,
) -> SampleView:
    """The boxes become the newest version of the sample's; its status stays."""
    review.correct(
        store,
        sample_id,
        body.detections,
        class_names=_class_names(store),
        seen_revision=_revision(if_match),
        actor=actor.name,
    )
    return _shown(store, sample_id, response)


@router.post(
    "/samples/{sample_id}/verdict",
    summary="Approve or reject a sample, or open it again",
    tags=["review"],
    responses=_changed(),
)
def decide(
    sample_id: SampleId,
    body: VerdictRequest,
    if_match: IfMatch,
    store: StoreDep,
    actor: ActorDep,
    response: Response,
) -> SampleView:
    """It counts from the next run on. To repeat what stands adds nothing."""
    review.give_verdict(
        store,
        sample_id,
        body.decision,
        seen_revision=_revision(if_match),
        actor=actor.name,
        reason=body.reason,
    )
    return _shown(store, sample_id, response)


@router.post(
    "/samples/{sample_id}/undo",
    summary="Take back the newest step",
    tags=["review"],
    responses=_changed(NothingToUndo),
)
def undo(
    sample_id: SampleId, if_match: IfMatch, store: StoreDep, actor: ActorDep, response: Response
) -> SampleView:
    """The boxes or the status of before come back, as a step of its own; asking again goes further back."""
    review.undo(store, sample_id, seen_revision=_revision(if_match), actor=actor.name)
    return _shown(store, sample_id, response)


def _shown(store: Store, sample_id: str, response: Response, within: SampleOrder | None = None) -> SampleView:
    live = publish.champion(store)
    view = get_sample(store, sample_id, champion_id=live.id if live else None, within=within)
    response.headers["ETag"] = f'"{view.revision}"'
    return view


def _class_names(store: Store) -> list[str]:
    live = publish.champion(store)
    return live.class_names if live else []


def _revision(if_match: str) -> int:
    # A proxy that compresses makes a tag weak; the revision is the same.
    return int(if_match.removeprefix("W/").strip('"'))
