"""`/api/quarantine`: samples that cannot be used, why, and what gets them out."""

from typing import Annotated

from fastapi import Query, Response

from api.context import ID_PATTERN, SampleId, StoreDep
from api.problems import declared
from api.security import ActorDep, scoped
from core.errors import InvalidRequest, NotFound, NotRepairable
from core.feedback import quarantine
from core.feedback.quarantine import Repair
from core.jobs import service
from core.schemas_review import BulkRepairRequest, QuarantinedSample, RepairOutcome, RepairRequest

router = scoped("operate")


@router.get(
    "/quarantine",
    summary="List samples in quarantine, oldest first",
    tags=["feedback"],
    responses={
        200: {
            "headers": {"Link": {"schema": {"type": "string"}, "description": "`rel=next`: the next page."}}
        },
        **declared(InvalidRequest),
    },
)
def list_all(
    response: Response,
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Samples per page.")] = 50,
    after: Annotated[
        str | None, Query(pattern=ID_PATTERN, description="Only samples newer than the one with this id.")
    ] = None,
    batch: Annotated[str | None, Query(pattern=ID_PATTERN, description="Only of this batch.")] = None,
    code: Annotated[str | None, Query(max_length=50, description="Only with this reason code.")] = None,
) -> list[QuarantinedSample]:
    """Each with its reason, and with the repairs that apply."""
    found = quarantine.list_quarantined(store, limit=limit + 1, after=after, batch_id=batch, code=code)
    if len(found) > limit:
        only = "".join(f"&{name}={value}" for name, value in (("batch", batch), ("code", code)) if value)
        next_page = f"/api/quarantine?limit={limit}&after={found[limit - 1].id}{only}"
        response.headers["Link"] = f'<{next_page}>; rel="next"'
    return [quarantine.shown(sample) for sample in found[:limit]]


@router.post(
    "/quarantine/repair",
    summary="Repair many samples in quarantine",
    tags=["feedback"],
    status_code=202,
    response_description="Each was judged by itself; those that were repaired go through intake again.",
    responses=declared(InvalidRequest),
)
def repair_many(store: StoreDep, actor: ActorDep, body: BulkRepairRequest) -> RepairOutcome:
    """Those that are named, or all of a batch or a reason code."""
    outcome = quarantine.repair_all(
        store, _repair(body, actor.name), sample_ids=body.sample_ids, batch_id=body.batch_id, code=body.code
    )
    service.see_to(store)
    refused = {id_: why for id_, why in outcome.items() if why is not None}
    return RepairOutcome(repaired=[id_ for id_ in outcome if id_ not in refused], refused=refused)


@router.post(
    "/quarantine/{sample_id}/repair",
    summary="Repair one sample in quarantine",
    tags=["feedback"],
    status_code=202,
    response_description="It goes through intake again.",
    responses=declared(InvalidRequest, NotFound, NotRepairable),
)
def repair_one(sample_id: SampleId, store: StoreDep, actor: ActorDep, body: RepairRequest) -> RepairOutcome:
    """It leaves quarantine if it passes with the repair; else it is there again, with what is left."""
    quarantine.repair(store, sample_id, _repair(body, actor.name))
    service.see_to(store)
    return RepairOutcome(repaired=[sample_id], refused={})


def _repair(body: RepairRequest, actor: str) -> Repair:
    return Repair(body.kind, actor, body.reason, body.class_map)
