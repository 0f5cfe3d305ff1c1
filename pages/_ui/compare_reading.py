"""What the Compare screen reads, each only once: none of it ever changes under its id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.dataset import frozen_sets
from core.dataset.images import LabelledImage
from core.dataset.pictures import small_jpeg
from core.evaluation.detections import Detections
from core.evaluation.figures import Figures
from core.evaluation.image_changes import ImageChanges
from core.registry import changed_images, comparisons, evaluations, scoring
from core.store import Store
from core.store.tables import Comparison, Evaluation

_COMPARISONS_KEPT = 4
_SCORES_KEPT = 8
_PICTURES_KEPT = 200


@dataclass(frozen=True)
class Changed:
    """The images in which two models differ.

    Attributes:
        worse: Those that got worse somewhere, the most harmful first.
        better: Those that got better somewhere, the most helpful first.
        changes: Each of them, by the sha256 of the image.
        images: All images of the set, by sha256.
    """

    worse: Sequence[ImageChanges]
    better: Sequence[ImageChanges]
    changes: Mapping[str, ImageChanges]
    images: Mapping[str, LabelledImage]


def changed(store: Store, row: Comparison) -> Changed:
    """The images that changed.

    Raises:
        NotFound: If the comparison or its set is gone.
        BlobDamaged: If they are missing or altered.
        BlobStoreUnavailable: If the blob store does not answer.
    """
    return _changed(store, row.id, row.set_digest)


@st.cache_resource(max_entries=_COMPARISONS_KEPT, show_spinner="Reading what changed …")
def _changed(_store: Store, comparison_id: str, set_digest: str) -> Changed:
    changes = comparisons.images_of(_store, comparison_id)
    return Changed(
        worse=changed_images.worse(changes),
        better=changed_images.better(changes),
        changes={one.sha256: one for one in changes},
        images={one.sha256: one for one in frozen_sets.frozen(_store, set_digest).images},
    )


def figures(store: Store, score: Evaluation) -> Figures:
    """Every figure of a score at today's deploy threshold; raises as `core.registry.scoring.figures`."""
    return _figures(store, score, score.id, store.settings.deploy_confidence)


@st.cache_resource(max_entries=_SCORES_KEPT, show_spinner="Making figures …")
def _figures(_store: Store, _score: Evaluation, score_id: str, confidence: float) -> Figures:
    del score_id, confidence
    return scoring.figures(_store, _score)


def claims(store: Store, score: Evaluation, confidence: float) -> Detections:
    """What a model claims at or above a confidence; raises as `core.registry.evaluations.detections_of`."""
    return _claims(store, score, score.id, confidence)


@st.cache_resource(max_entries=_SCORES_KEPT, show_spinner="Reading detections …")
def _claims(_store: Store, _score: Evaluation, score_id: str, confidence: float) -> Detections:
    del score_id
    seen = evaluations.detections_of(_store, _score)
    return seen.where(seen.confidence >= confidence)


def jpeg(store: Store, image: LabelledImage, side_px: int) -> bytes:
    """An image no larger than `side_px`; raises as `core.dataset.pictures.small_jpeg`."""
    return _jpeg(store, image, image.sha256, side_px)


@st.cache_resource(max_entries=_PICTURES_KEPT, show_spinner=False)
def _jpeg(_store: Store, _image: LabelledImage, sha256: str, side_px: int) -> bytes:
    del sha256
    return small_jpeg(_store, _image, side_px)
