"""The wire types of review: how samples are listed, what is shown of each, and what may be done to them."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from core.schemas import MAX_DETECTIONS, MAX_IMAGES, Box, Detection, ShortText, Wire

SampleStatus = Literal["pending", "approved", "rejected", "quarantined"]
Decision = Literal["approved", "rejected", "reopened"]
SampleSort = Literal["newest", "oldest", "disagreement"]
RepairKind = Literal["retry", "clip", "map_class", "accept"]
BulkOutcome = Literal["done", "unchanged", "stale", "not_reviewable", "not_found"]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]

MAX_BULK = MAX_IMAGES
_MAX_CLASS_ID = 9_999
_MAX_REVISION = 2**31 - 1


class SampleFilter(Wire):
    """Which samples; what is left out does not matter, and all that is given has to be true of a sample."""

    batch_id: Id | None = Field(None, description="Of this batch.")
    status: SampleStatus | None = Field(None, description="In this state.")
    class_id: int | None = Field(
        None, ge=0, le=_MAX_CLASS_ID, description="With a box of this class in the newest version."
    )
    is_holdout: bool | None = Field(None, description="Kept for judging, or learned from.")
    has_warnings: bool | None = Field(None, description="With or without findings to look at.")
    group: ShortText | None = Field(None, description="Of this transformer or inspection.")
    text: ShortText | None = Field(
        None, description="With this text anywhere in the caller's name of the image, in capitals or not."
    )


class SampleOrder(SampleFilter):
    """Which samples, and in which order."""

    sort: SampleSort = Field(
        "newest",
        description="newest or oldest first; or by disagreement with the live model, the highest first and "
        "those without a score last.",
    )


class BoxView(BaseModel):
    """One box as it is shown; it may be sent back with `box` and its class alone."""

    box: Box
    class_id: int | None = Field(description="Position in the class map; empty if it was posted by name.")
    class_name: str | None = Field(None, description="As posted, while the sample is not taken in.")
    origin: Literal["champion"] | None = Field(None, description="`champion`: nobody drew it.")
    confidence: float | None = Field(None, description="How sure the model is of it, 0 to 1.")


class Finding(BaseModel):
    """Something about a sample that a reviewer should know, or the reason why it is in quarantine."""

    code: str
    detail: str
    repair: str | None = Field(None, description="What to do about it.")


class SampleSummary(BaseModel):
    """One sample in a list."""

    id: str
    batch_id: str
    position: int = Field(description="Place in its batch, from 0.")
    client_sample_id: str | None = Field(description="The caller's own name of the image.")
    group: str | None
    status: SampleStatus
    is_holdout: bool = Field(description="Kept for judging, for good; review does not change that.")
    revision: int = Field(description="Counts changes; whoever changes the sample names the one he saw.")
    width_px: int | None = Field(description="Of the upright image; empty until it was fetched.")
    height_px: int | None
    image_sha256: str | None
    thumbnail_sha256: str | None
    version: int | None = Field(description="Of the boxes; empty until the sample was taken in.")
    detections: list[BoxView] = Field(description="The newest boxes.")
    disagreement: float | None = Field(description="With the live model, 0 to 1.")
    warnings: list[Finding]
    reason: Finding | None = Field(description="Why it is in quarantine.")
    decided_by: str | None = Field(description="Who gave the newest verdict.")
    decided_at: str | None
    created_at: str


class SamplePage(BaseModel):
    """Some samples, and where the next ones begin."""

    samples: list[SampleSummary]
    next_cursor: str | None = Field(description="What the next page begins behind; the last page has none.")


class SampleCounts(BaseModel):
    """How many samples there are."""

    matching: int = Field(description="Under the whole filter.")
    by_status: dict[SampleStatus, int] = Field(description="Under the filter without its status.")
    by_class: dict[int, int] = Field(
        description="Samples with a box of the class id, under the filter without its class."
    )


class VersionView(BaseModel):
    """A version of a sample's boxes."""

    version: int = Field(description="1 is what was posted, after it was checked against the image.")
    revision: int = Field(description="Of the sample, that it made.")
    detections: list[BoxView]
    author: str
    undoes: int | None = Field(description="The version that this one takes back.")
    created_at: str


class VerdictView(BaseModel):
    """A verdict on a sample."""

    id: str
    revision: int = Field(description="Of the sample, that it made; 0 if intake gave it by itself.")
    decision: Decision
    actor: str
    reason: str | None
    undoes: str | None = Field(description="Id of the verdict that this one takes back.")
    created_at: str


class PredictionView(BaseModel):
    """What the live model sees in an image, and how the newest boxes differ from it."""

    checkpoint_id: str
    detections: list[BoxView]
    score: float | None = Field(description="Disagreement, 0 to 1; empty until it was reckoned.")
    differences: list[Any]


class BatchView(BaseModel):
    """What a sample came in with."""

    id: str
    source: str
    actor: str
    note: str | None
    created_at: str


class SampleView(SampleSummary):
    """One sample with all that is known of it."""

    image_url: str = Field(description="Where it was fetched, without query string.")
    posted: list[BoxView] = Field(description="The boxes as they came, after they were checked if they were.")
    versions: list[VersionView] = Field(description="All versions of the boxes, oldest first.")
    verdicts: list[VerdictView] = Field(description="All verdicts, oldest first.")
    prediction: PredictionView | None = Field(description="Empty until the live model has looked at it.")
    window: dict[str, Any] | None = Field(description="How 16-bit values became 8-bit ones.")
    cluster: str | None = Field(description="The first of the samples that look nearly like this one.")
    conflicts_with_id: str | None = Field(description="The sample whose boxes differ for the same image.")
    batch: BatchView
    previous_id: str | None = Field(description="The one before it in the list that was asked for.")
    next_id: str | None


class CorrectionRequest(Wire):
    """The boxes that a sample should have."""

    detections: list[Detection] = Field(
        max_length=MAX_DETECTIONS, description="All objects of the image; an empty list is none."
    )


class VerdictRequest(Wire):
    """A verdict."""

    decision: Decision
    reason: Reason | None = Field(None, description="Why, for those who look at the sample later.")


class SeenSample(Wire):
    """A sample as a reviewer saw it."""

    id: Id
    revision: int = Field(ge=0, le=_MAX_REVISION, description="The one that was seen.")


class BulkVerdictRequest(VerdictRequest):
    """One verdict on many samples: on those that are named, or on all that a filter finds."""

    samples: list[SeenSample] | None = Field(None, min_length=1, max_length=MAX_BULK)
    filter: SampleFilter | None = None
    count: int | None = Field(
        None, ge=1, le=MAX_BULK, description="With `filter`: how many samples it found when you looked."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.samples is None) == (self.filter is None):
            raise ValueError("give either samples or filter, and not both")
        if (self.filter is None) != (self.count is None):
            raise ValueError("give count together with filter, and only then")
        if len({seen.id for seen in self.samples or []}) < len(self.samples or []):
            raise ValueError("name each sample once")
        return self


class BulkVerdictOutcome(BaseModel):
    """What became of one sample of many."""

    id: str
    outcome: BulkOutcome
    revision: int | None = Field(description="The one it has now.")
    detail: str | None = Field(description="Why nothing was done, and what to do.")


class BulkVerdictResult(BaseModel):
    """What became of each sample."""

    counts: dict[BulkOutcome, int]
    outcomes: list[BulkVerdictOutcome] = Field(description="In the order they were named or found.")


class QuarantinedSample(BaseModel):
    """A sample in quarantine: why, and what gets it out."""

    id: str
    batch_id: str
    index: int = Field(description="Position in `images` of its batch, from 0.")
    image_url: str = Field(description="The address as posted, without its query string.")
    sample_id: str | None = Field(description="The caller's own name of the image.")
    code: str = Field(description="Stable reason code.")
    detail: str = Field(description="What is wrong, with the numbers.")
    repair: str = Field(description="What whoever posted it can do.")
    repairs: list[RepairKind] = Field(description="What can be done about it here.")
    can_be_seen: bool = Field(description="Whether its image is stored.")
    conflicts_with_id: str | None = Field(description="The sample that it contradicts, if it does.")
    created_at: str


class RepairRequest(Wire):
    """What is to be done about a sample in quarantine."""

    kind: RepairKind = Field(
        description="retry fetches the image again; clip puts corners in order, clips boxes to the image and "
        "leaves out those without area; map_class renames classes; accept takes the sample in all the same."
    )
    reason: Reason | None = Field(None, description="Why; needed to accept.")
    class_map: dict[ShortText, ShortText | None] = Field(
        default_factory=dict,
        max_length=1_000,
        description="For map_class: class names or ids as posted, to class names of the live model; null "
        "leaves the boxes of that class out.",
    )


class BulkRepairRequest(RepairRequest):
    """What is to be done about many: those that are named, or all of a batch or a reason code."""

    sample_ids: list[Id] | None = Field(None, min_length=1, max_length=MAX_IMAGES)
    batch_id: Id | None = Field(None, description="All of this batch.")
    code: ShortText | None = Field(None, description="All with this reason code.")

    @model_validator(mode="after")
    def _named_or_filtered(self) -> Self:
        if (self.sample_ids is None) == (self.batch_id is None and self.code is None):
            raise ValueError("give either sample_ids, or batch_id or code or both")
        return self


class RepairOutcome(BaseModel):
    """Which samples go through intake again, and why others do not."""

    repaired: list[str]
    refused: dict[str, str] = Field(description="By sample id, why it could not be repaired.")
