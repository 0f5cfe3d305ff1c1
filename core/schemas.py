"""The wire types of both doors: what a fine-tune asks for and what it answers.

Every field carries its range, unit and help text, because the API documentation and the dashboard's
forms are drawn from these models. Unknown fields are refused by name.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from core import config

ReplayStrategy = Literal["stream", "balanced", "random", "none"]
Optimizer = Literal["SGD", "AdamW", "Adam"]
Promotion = Literal["no_regression", "proven_gain", "manual"]
Verdict = Literal["pass", "fail", "not_enough_evidence"]
LearnsFrom = Literal["batch", "approved"]
SampleRole = Literal["feedback", "replay", "holdout"]
ImportFormat = Literal["yolo", "coco", "label_studio", "cvat"]
RunStatus = Literal[
    "queued", "preparing", "training", "evaluating", "succeeded", "failed", "cancelled", "interrupted"
]
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|\d+(,\d+)*)$")]
ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]

MAX_IMAGES = 10_000
MAX_DETECTIONS = 1_000


class Wire(BaseModel):
    """What all that callers send has in common."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, str_max_length=4_096)

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("the character U+0000 cannot be stored")
        return value


class Box(Wire):
    """Corners of a box in absolute pixels of the EXIF-upright image, origin top left.

    Order and image bounds are checked at intake, so that one wrong box puts its image aside, not the batch.
    """

    x_min: float = Field(description="Left edge, pixels.")
    y_min: float = Field(description="Top edge, pixels.")
    x_max: float = Field(description="Right edge, pixels; greater than x_min.")
    y_max: float = Field(description="Bottom edge, pixels; greater than y_min.")

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """`(x_min, y_min, x_max, y_max)` in pixels."""
        return self.x_min, self.y_min, self.x_max, self.y_max


class Detection(Wire):
    """One box with a class, named by id or by name."""

    box: Box
    class_id: int | None = Field(None, ge=0, description="Position in the class map of the live model.")
    class_name: ShortText | None = Field(None, description="Class name, in place of class_id.")

    @model_validator(mode="after")
    def _one_class(self) -> Self:
        if (self.class_id is None) == (self.class_name is None):
            raise ValueError("give either class_id or class_name, and not both")
        return self


class FeedbackImage(Wire):
    """One image with every object that should have been found in it."""

    image_url: str = Field(
        min_length=1,
        max_length=2_048,
        description="http(s) address of the image, or `blob:<sha256>`, the address of an upload.",
    )
    detections: list[Detection] = Field(
        max_length=MAX_DETECTIONS,
        description="All objects of the image; an empty list is a false alarm to unlearn.",
    )
    sample_id: ShortText | None = Field(None, description="The caller's own name of the image.")
    group: ShortText | None = Field(
        None, description="Transformer or inspection id; images of one group are never split between sides."
    )


class Hyperparameters(Wire):
    """How a fine-tune learns; each is honoured to the letter."""

    epochs: int = Field(
        config.DEFAULT_EPOCHS, ge=1, le=1_000, description="Passes over the mixed training set."
    )
    batch_size: int = Field(
        config.DEFAULT_BATCH_SIZE,
        ge=1,
        le=512,
        description="Images per optimizer step.",
        json_schema_extra={"unit": "images"},
    )
    image_size: int = Field(
        config.DEFAULT_IMAGE_SIZE,
        ge=64,
        le=2_048,
        multiple_of=32,
        description="Longer side of the training image, in pixels; a multiple of 32.",
        json_schema_extra={"unit": "px"},
    )
    learning_rate: float = Field(
        config.DEFAULT_LEARNING_RATE, gt=0, le=1, description="Peak learning rate; 0.0001 to 0.001 is usual."
    )
    weight_decay: float = Field(
        config.DEFAULT_WEIGHT_DECAY, ge=0, le=1, description="L2 penalty on the weights."
    )
    momentum: float = Field(
        config.DEFAULT_MOMENTUM, ge=0, lt=1, description="SGD momentum, or beta 1 of Adam and AdamW."
    )
    freeze: int = Field(
        config.DEFAULT_FREEZE,
        ge=0,
        le=100,
        title="Frozen modules",
        description="Leading modules of the model that stay as they are; 10 is the backbone of YOLOv8.",
    )
    train_replay: int = Field(
        config.DEFAULT_TRAIN_REPLAY,
        ge=0,
        le=100_000,
        title="Replay in each epoch",
        description="Images of the replay pool mixed into each epoch, against forgetting.",
        json_schema_extra={"unit": "images"},
    )
    replay_strategy: ReplayStrategy = Field(
        "stream",
        description="How replay is drawn: stream goes through the whole pool from epoch to epoch; balanced "
        "prefers rare classes; random draws once; none takes nothing.",
    )
    optimizer: Optimizer = Field("AdamW", description="Optimizer; always set, never guessed.")
    patience: int = Field(
        0,
        ge=0,
        le=1_000,
        description="Epochs without a better tune score before training ends; 0 is never.",
        json_schema_extra={"unit": "epochs"},
    )
    time_budget_s: float | None = Field(
        None,
        gt=0,
        le=604_800,
        title="Time budget",
        description="Seconds after which training ends with the best epoch so far.",
        json_schema_extra={"unit": "s"},
    )
    blend: float = Field(
        1.0,
        gt=0,
        le=1,
        title="Share of new weights",
        description="Share of the new weights in the candidate; the rest is the champion's. 1 is none.",
    )
    seed: int = Field(config.DEFAULT_SEED, ge=0, le=2**31 - 1, description="Seed of every random choice.")
    device: Device | None = Field(
        None, description="auto, cpu, a GPU such as 0, or several such as 0,1; empty is the host's default."
    )


class FeedbackRequest(Wire):
    """A feedback batch, without a word on training."""

    images: list[FeedbackImage] = Field(
        min_length=1, max_length=MAX_IMAGES, description="The feedback batch, one entry per image."
    )
    note: str | None = Field(None, max_length=2_000, description="A remark kept with the batch.")
    fill_gaps: bool = Field(
        False,
        description="Add what the live model is sure of where nobody drew a box; such boxes are marked. Only "
        "for images on which not every object is drawn.",
    )


class ImportOptions(Wire):
    """How labelled images are taken in."""

    mapping: dict[str, str | None] = Field(
        {},
        description="For class names of the import, the live model's class; null leaves their boxes out. "
        "Others stand for what they did in an earlier import, or for the class that is called alike.",
    )
    format: ImportFormat | None = Field(
        None, description="Recognised by the content of the files when empty."
    )
    trusted: bool = Field(
        False, description="Samples that pass intake are approved without a look at them; else they wait."
    )
    note: str | None = Field(None, max_length=2_000, description="A remark kept with the batch.")
    dry_run: bool = Field(False, description="Answer with what is in it; take nothing.")


class RetrainRequest(Hyperparameters):
    """Body of `POST /api/retrain`: how to learn from all feedback that was approved."""

    note: str | None = Field(None, max_length=2_000, description="A remark kept with the run.")
    promotion: Promotion = Field(
        "no_regression",
        description="When the candidate is published: no_regression unless it is worse on the base test set; "
        "proven_gain only when the gain is proven; manual never by itself.",
    )
    dry_run: bool = Field(
        False, description="Answer with the dataset's composition and warnings; start nothing."
    )

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters alone."""
        return Hyperparameters(**self.model_dump(include=set(Hyperparameters.model_fields)))


class FillGapsRequest(Wire):
    """Which samples get the boxes that the champion is sure of and nobody drew."""

    sample_ids: list[ShortText] = Field(
        min_length=1, max_length=1_000, description="Ids of samples that wait for review."
    )
    min_confidence: float = Field(
        config.GAP_CONFIDENCE,
        ge=config.LOWEST_CONFIDENCE,
        le=1,
        description="How sure the champion has to be, 0 to 1; what is under 0.25 it does not say at all.",
    )


class FilledSample(BaseModel):
    """What became of one sample whose gaps were to be filled."""

    sample_id: str
    added: int = Field(description="Boxes that were added.")
    version: int | None = Field(description="The version of its boxes that has them; empty without any.")
    reason: str | None = Field(description="Why none was added; empty if some were.")


class BatchScoreView(BaseModel):
    """How the model that was live when a batch came in does on it; it has not learned from these images."""

    batch_id: str
    created_at: str = Field(description="When the batch was handed in, UTC.")
    source: str
    checkpoint_id: str = Field(description="The champion of that time.")
    image_count: int = Field(description="Images that were scored.")
    set_digest: str = Field(description="What exactly was scored: images and boxes.")
    metrics: dict[str, float] = Field(description="Under the Ultralytics keys, plus fitness, 0 to 1.")
    per_class: list[dict[str, Any]] = Field(description="The same for each class that was drawn.")
    scored_at: str = Field(description="When it was scored, UTC.")


class FineTuneRequest(FeedbackRequest, RetrainRequest):
    """Body of `POST /api/finetune`, and the argument of `core.trainer.run_finetune`."""


class QuarantinedImage(BaseModel):
    """An image that was put aside, why, and what would make it usable."""

    index: int = Field(description="Position in `images`, from 0.")
    image_url: str = Field(description="The address as posted, without its query string.")
    sample_id: str | None = None
    code: str = Field(description="Stable reason code.")
    detail: str = Field(description="What is wrong, with the numbers.")
    repair: str = Field(description="What to do about it.")


class JudgedSet(BaseModel):
    """Champion and candidate on one frozen set: mAP50-95 as COCO defines it, from 0 to 1."""

    set_name: str = Field(description="test: the base test set; holdout: feedback kept for judging.")
    set_digest: str = Field(description="Figures of other sets are not comparable.")
    comparison_id: str = Field(description="Under which the comparison is kept, image by image too.")
    image_count: int
    group_count: int = Field(description="Independent groups of images: what counts as evidence.")
    champion: float | None
    candidate: float | None
    low_95: float | None = Field(description="Lower end of the 95 % interval of candidate - champion.")
    high_95: float | None = Field(description="Its upper end.")


class FineTuneSummary(BaseModel):
    """Answer of `POST /api/finetune` and of `core.trainer.run_finetune`."""

    run_id: str
    weights_path: str = Field(description="The published weights: what is live after this run.")
    metrics: dict[str, float] = Field(
        description="The candidate on the base test set, under the Ultralytics keys, plus fitness."
    )
    champion_metrics: dict[str, float] = Field(description="The champion of before on the same images.")
    log_path: str
    dataset_size: int = Field(description="Images of one epoch: feedback plus replay.")
    feedback_samples: int
    replay_samples: int = Field(description="Replay images of one epoch.")
    holdout_samples: int = Field(description="Images of this batch kept for judging, for good.")
    filled_boxes: int = Field(
        0, description="Boxes it learned from that nobody drew: the champion added them to fill gaps."
    )
    hyperparameters: Hyperparameters
    verdict: Verdict
    verdict_reason: str
    images_needed: int | None = Field(
        None, description="Further images that would bring a verdict, where more images would."
    )
    judged_on: list[JudgedSet] = Field([], description="What the verdict was drawn from.")
    promoted: bool
    checkpoint_id: str = Field(description="The candidate this run produced.")
    champion_id: str = Field(description="The champion after this run.")
    dataset_digest: str
    quarantined: list[QuarantinedImage]


class DatasetPreview(BaseModel):
    """Answer of a dry run: what would be learned from, and what to mind."""

    dry_run: Literal[True] = True
    feedback_samples: int = Field(description="Images that every epoch would see.")
    replay_samples: int = Field(description="Images of the replay pool that each epoch would see too.")
    dataset_size: int = Field(description="Images of one epoch: feedback plus replay.")
    replay_pool_feedback: int = Field(description="Earlier feedback in the replay pool, beside base images.")
    holdout_samples: int = Field(description="Feedback images that would judge: all that are kept so far.")
    boxes_per_class: dict[str, int] = Field(
        description="Feedback boxes per class name: as posted, or as approved."
    )
    base_images: int
    base_boxes_per_class: dict[str, int]
    expected_duration_s: float | None = Field(
        description="From start to verdict, by the pace of earlier runs; empty before the first."
    )
    warnings: list[str]
    hyperparameters: Hyperparameters


class RunView(BaseModel):
    """One run as the API and the dashboard show it."""

    id: str
    status: RunStatus
    source: str
    actor: str
    note: str | None
    learns_from: LearnsFrom = Field(
        description="`batch`: what one POST brought in; `approved`: all that no champion has learned from."
    )
    batch_id: str = Field(description="The batch it learns from, or the newest of those.")
    created_at: str
    started_at: str | None
    finished_at: str | None
    heartbeat_at: str | None = Field(description="When whoever works on it last gave a sign of life.")
    queue_position: int | None = Field(description="0 is next; empty unless the run is queued.")
    expected_start_at: str | None = Field(
        description="When a queued run is expected to start, from the pace of earlier runs; empty if unknown."
    )
    epochs_done: int = Field(description="Epochs whose state is kept; an interrupted run goes on from there.")
    wanted: Literal["stop", "cancel"] | None = Field(description="How the run was told to end, if it was.")
    continues_id: str | None = Field(description="The ended run that this one retries.")
    summary: FineTuneSummary | None
    error: dict[str, Any] | None


CheckpointId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]


class CompareRequest(Wire):
    """Body of `POST /api/comparisons`."""

    baseline_id: ShortText = Field(description="The checkpoint that stands for the old.")
    candidate_id: ShortText = Field(description="The checkpoint that is judged.")


class PinRequest(Wire):
    """Body of `PUT /api/pins/{sha256}`."""

    reason: ShortText | None = Field(default=None, description="Why it must not be forgotten.")


class PromoteRequest(Wire):
    """Body of `POST /api/model/promote`."""

    checkpoint_id: CheckpointId = Field(description="What is to become live.")
    expected_champion_id: CheckpointId | None = Field(
        description="What is live, as you saw it; if it is not any more, nothing happens. `null`: nothing is."
    )
    reason: Reason = Field(description="Why, for the ledger.")
    override: str | None = Field(
        None, description="The word `override`, to publish what was judged worse or was not judged."
    )


class RollbackRequest(Wire):
    """Body of `POST /api/model/rollback`."""

    expected_champion_id: CheckpointId = Field(
        description="What is live, as you saw it; if it is not any more, nothing happens."
    )
    reason: Reason = Field(description="Why, for the ledger.")
    to: CheckpointId | None = Field(None, description="An earlier champion; the one before, if left out.")


class WebhookRequest(Wire):
    """Body of `POST /api/webhooks`."""

    url: str = Field(min_length=1, max_length=2_000, description="Where events are posted: http or https.")
    events: list[Literal["promoted", "rolled_back", "run_ended", "verdict"]] = Field(
        min_length=1, max_length=10, description="Of which kinds."
    )


class AckRequest(Wire):
    """Body of `POST /api/model/ack`."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the weights file that is being served.")
    service: ShortText = Field("inference", description="Name of this one among the services of your key.")
