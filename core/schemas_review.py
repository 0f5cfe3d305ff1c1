"""The wire types of review: how samples are listed, what is shown of each, and what may be done to them."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from core.schemas import MAX_IMAGES, ShortText, Wire

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]
RepairKind = Literal["retry", "clip", "map_class", "accept"]


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
