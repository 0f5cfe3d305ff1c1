"""Every figure of one checkpoint on one set, made from its raw detections by hotcoco."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from hotcoco import COCOeval
from pydantic import BaseModel, ConfigDict

from core.evaluation.bootstrap import Floats, Tallies, tally
from core.evaluation.coco import AT_IOU_50, evaluator, match
from core.evaluation.detections import Detections, Truth

ErrorKind = Literal["class", "place", "both", "duplicate", "background", "missed"]

# TIDE's names (Bolya et al., 2020, "TIDE: a general toolbox for identifying object detection errors").
_TIDE: dict[str, ErrorKind] = {
    "Cls": "class",
    "Loc": "place",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}
_CALIBRATION_BINS = 10
_DECIMALS = 5


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Rates(_Frozen):
    """Shares from 0 to 1, none where undefined; precision, recall and F1 at the deploy threshold, IoU 0.50.

    Attributes:
        box_count: Boxes that there are.
        claims: Detections at or above the threshold.
        hits: Those of them that find a box.
    """

    box_count: int
    claims: int
    hits: int
    precision: float | None
    recall: float | None
    f1: float | None
    ap50: float | None
    ap50_95: float | None


class ClassRates(Rates):
    """One class' rates; only classes with a box or a claim have some."""

    class_id: int
    class_name: str


class PrecisionRecall(_Frozen):
    """A class' curve at IoU 0.50, at recall 0.00, 0.01 to 1.00.

    Attributes:
        class_id: The class.
        precision: The best precision at that recall or a higher one; 0 where it is not reached.
        confidence: The threshold that gives that recall; 0 where it is not reached.
    """

    class_id: int
    precision: tuple[float, ...]
    confidence: tuple[float, ...]


class Errors(_Frozen):
    """One kind of error.

    Attributes:
        kind: `class` right place, wrong class; `place` right class, loose box; `both`; `duplicate`;
            `background` nothing there; `missed` a box that nothing accounts for.
        count: How often at the deploy threshold.
        ap50_cost: AP50 that would be gained if all of them were mended, at every threshold.
    """

    kind: ErrorKind
    count: int
    ap50_cost: float


class CalibrationBin(_Frozen):
    """Claims with a confidence within `[low, high)`: how sure they were, and how many of them were right."""

    low: float
    high: float
    count: int
    confidence: float
    hit_share: float


class Figures(_Frozen):
    """Every figure of a checkpoint on a set.

    Attributes:
        set_digest: Of the set.
        image_count: Its images.
        confidence: The deploy threshold.
        overall: AP is the mean over classes with a box; the rest counts all classes together.
        per_class: In the order of the class map.
        curves: One for each class with a box.
        confusion: Claims at IoU 0.50, rows what it is, columns what was claimed, each with background last;
            the last column counts missed boxes, the last row false alarms.
        errors: One for each kind.
        calibration: Bins with at least one claim.
        calibration_error: Mean distance of confidence and share of hits, weighted by claims (ECE).
    """

    set_digest: str
    image_count: int
    confidence: float
    overall: Rates
    per_class: tuple[ClassRates, ...]
    curves: tuple[PrecisionRecall, ...]
    confusion: tuple[tuple[int, ...], ...]
    errors: tuple[Errors, ...]
    calibration: tuple[CalibrationBin, ...]
    calibration_error: float | None


def figures_of(
    truth: Truth, detections: Detections, *, class_names: Sequence[str], confidence: float
) -> Figures:
    """Make every figure.

    Args:
        truth: The labels of the set.
        detections: Raw detections, down to a confidence near 0.
        class_names: Ids are positions.
        confidence: The deploy threshold, from 0 to 1.

    Raises:
        DifferentSets: If the detections are of another set.
    """
    run = evaluator(truth, detections, class_names)
    claims = evaluator(truth, detections.where(detections.confidence >= confidence), class_names)
    counted = tally(match(truth, detections, class_names), np.ones((1, truth.image_count)), confidence)
    calibration, calibration_error = _calibration(claims)
    return Figures(
        set_digest=truth.set_digest,
        image_count=truth.image_count,
        confidence=confidence,
        overall=Rates(**_overall(counted)),
        per_class=_per_class(counted, class_names),
        curves=_curves(run, truth),
        confusion=tuple(tuple(map(int, row)) for row in claims.confusion_matrix(iou_thr=0.5)["matrix"]),
        errors=_errors(run, claims),
        calibration=calibration,
        calibration_error=calibration_error,
    )


def _overall(counted: Tallies) -> dict[str, float | int | None]:
    rates = {name: _share(values[0]) for name, values in counted.overall().items()}
    return rates | _counts(*(column.sum() for column in (counted.boxes, counted.claims, counted.hits)))


def _per_class(counted: Tallies, class_names: Sequence[str]) -> tuple[ClassRates, ...]:
    figures = counted.per_class()
    columns = (counted.boxes[0], counted.claims[0], counted.hits[0])
    return tuple(
        ClassRates(
            class_id=class_id,
            class_name=name,
            **_counts(*(column[class_id] for column in columns)),
            **{metric: _share(values[0, class_id]) for metric, values in figures.items()},
        )
        for class_id, name in enumerate(class_names)
        if columns[0][class_id] or columns[1][class_id]
    )


def _counts(boxes: float, claims: float, hits: float) -> dict[str, int]:
    return {"box_count": int(boxes), "claims": int(claims), "hits": int(hits)}


def _share(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _curves(run: COCOeval, truth: Truth) -> tuple[PrecisionRecall, ...]:
    result = run.eval or {}
    # Axes: IoU threshold, recall, class, area, most detections.
    precision, confidence = (result[name][AT_IOU_50, :, :, 0, -1] for name in ("precision", "scores"))
    return tuple(
        PrecisionRecall(
            class_id=int(class_id),
            precision=_rounded(precision[:, class_id]),
            confidence=_rounded(confidence[:, class_id]),
        )
        for class_id in np.unique(truth.class_id)
    )


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), _DECIMALS) for value in values)


def _errors(run: COCOeval, claims: COCOeval) -> tuple[Errors, ...]:
    costs, counts = run.tide_errors()["delta_ap"], claims.tide_errors()["counts"]
    return tuple(
        Errors(kind=kind, count=counts[name], ap50_cost=round(costs[name], _DECIMALS))
        for name, kind in _TIDE.items()
    )


def _calibration(claims: COCOeval) -> tuple[tuple[CalibrationBin, ...], float | None]:
    found = claims.calibration(n_bins=_CALIBRATION_BINS)
    bins = tuple(
        CalibrationBin(
            low=one["bin_lower"],
            high=one["bin_upper"],
            count=one["count"],
            confidence=one["avg_confidence"],
            hit_share=one["avg_accuracy"],
        )
        for one in found["bins"]
        if one["count"]
    )
    return bins, found["ece"] if bins else None
