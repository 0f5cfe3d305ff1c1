"""How the boxes that people drew differ from what the champion sees, and how much.

The kinds and the two thresholds are those of TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying
Object Detection Errors", ECCV 2020), where they are called Miss, Background, Classification and Localization.
"""

from collections.abc import Iterator, Sequence
from math import fsum
from typing import Literal, NamedTuple, TypedDict

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.feedback import corrections, predictions
from core.feedback.boxes import PredictedDetection, StoredDetection, is_drawn
from core.feedback.overlap import iou_matrix
from core.store import chores
from core.store.tables import Batch, BatchScore, Disagreement, Sample

SAME_PLACE_IOU = 0.5
"""From here on two boxes are in the same place."""
NOTHING_THERE_IOU = 0.1
"""Below, two boxes have nothing to do with each other."""


class Difference(TypedDict):
    """One difference; `human` and `predicted` are positions in the two lists of boxes.

    `missed`: the champion does not see a box that was drawn. `extra`: it sees one that nobody drew.
    `other_class`: it sees the box, as something else. `shifted`: it sees the class, but beside the box.
    """

    kind: Literal["missed", "extra", "other_class", "shifted"]
    human: int | None
    predicted: int | None
    iou: float
    confidence: float | None


class _Pair(NamedTuple):
    """Two boxes that may belong together; `rank` orders the pairs, best first."""

    kind: Literal["agrees", "other_class", "shifted"]
    human: int
    predicted: int
    iou: float
    rank: tuple[object, ...]


def differences(
    human: Sequence[StoredDetection], predicted: Sequence[PredictedDetection]
) -> list[Difference]:
    """Pair the boxes one to one and list what does not agree, worst first.

    The pair that overlaps most is made first: among boxes of one class in the same place, then of two classes
    in the same place, then of one class beside each other. That is greedy on purpose. An assignment that is
    best in sum (the Hungarian method) may pair no box with the one that fits it best, and one box more at one
    end of the image may change the pairs at the other.

    Args:
        human: Boxes of a sample. Those that the champion added are left out.
        predicted: What the champion sees.
    """
    left = {position for position, box in enumerate(human) if is_drawn(box)}
    left_predicted = set(range(len(predicted)))
    found: list[Difference] = []
    for pair in sorted(_pairs(human, predicted), key=lambda pair: pair.rank):
        if pair.human in left and pair.predicted in left_predicted:
            left.remove(pair.human)
            left_predicted.remove(pair.predicted)
            found += _told(pair, predicted)
    found += [_missed(position) for position in sorted(left)]
    found += [_extra(position, predicted) for position in sorted(left_predicted)]
    return sorted(found, key=severity, reverse=True)


def severity(difference: Difference) -> float:
    """How bad one difference is, from 0 to 1: the surer the champion is of a mistake, the worse.

    A missed box counts 1; a box that nobody drew its confidence; another class (1 + confidence) / 2; a
    shifted box 1 - IoU.
    """
    confidence = difference["confidence"] or 0.0
    severities = {
        "missed": 1.0,
        "extra": confidence,
        "other_class": (1 + confidence) / 2,
        "shifted": 1 - difference["iou"],
    }
    return severities[difference["kind"]]


def score(found: Sequence[Difference]) -> float:
    """One figure to sort by: S / (1 + S), where S is the sum of all severities.

    0 is agreement; each further or graver difference raises it, and it stays below 1. It does not shrink
    with the number of boxes that agree, since a mistake among many right boxes is a mistake still.
    """
    total = fsum(map(severity, found))
    return total / (1 + total)


def refresh(session: Session, sample: Sample) -> float | None:
    """Compare a sample's newest boxes with what the champion saw, in the caller's transaction.

    Call it whenever boxes or verdict of the sample changed. Once nothing of its batch is pending, the
    champion is also scored again on what people made of it, when they have been quiet for a while.

    Returns:
        The score; None as long as the champion has not looked at the image.
    """
    batch = session.get_one(Batch, sample.batch_id)
    newest, seen = corrections.newest_of(session, sample.id), predictions.of_sample(session, sample)
    if newest is None or seen is None:
        sample.disagreement = None
        return None
    found = differences(newest.detections, seen)
    sample.disagreement = score(found)
    session.merge(
        Disagreement(
            sample_id=sample.id,
            checkpoint_id=batch.champion_id,
            score=sample.disagreement,
            differences=list(found),
        )
    )
    score_again_if_reviewed(session, batch)
    return sample.disagreement


def score_again_if_reviewed(session: Session, batch: Batch) -> None:
    """Have the champion scored once more on a batch of which nothing is pending any more.

    For verdicts, which change no score of a sample; `refresh` does this too.
    """
    is_scored = session.get(BatchScore, batch.id) is not None
    pending = sa.select(Sample.id).where(Sample.batch_id == batch.id, Sample.status == "pending").limit(1)
    if is_scored and session.scalar(pending) is None:
        chores.score_again(batch)


def _pairs(human: Sequence[StoredDetection], predicted: Sequence[PredictedDetection]) -> Iterator[_Pair]:
    overlaps = iou_matrix([box["xyxy"] for box in human], [box["xyxy"] for box in predicted])
    for row, column in np.argwhere(overlaps >= NOTHING_THERE_IOU).tolist():
        drawn, seen, iou = human[row], predicted[column], float(overlaps[row, column])
        is_same_class = drawn["class_id"] == seen["class_id"]
        # Where two pairs overlap alike, what they are decides, and not the order in which they were listed.
        alike = (-iou, -seen["confidence"], drawn["xyxy"], drawn["class_id"], seen["xyxy"], seen["class_id"])
        if iou >= SAME_PLACE_IOU and is_same_class:
            yield _Pair("agrees", row, column, iou, (0, *alike))
        elif iou >= SAME_PLACE_IOU:
            yield _Pair("other_class", row, column, iou, (1, *alike))
        elif is_same_class:
            yield _Pair("shifted", row, column, iou, (2, *alike))


def _told(pair: _Pair, predicted: Sequence[PredictedDetection]) -> list[Difference]:
    if pair.kind == "agrees":
        return []
    confidence = predicted[pair.predicted]["confidence"]
    return [
        Difference(
            kind=pair.kind,
            human=pair.human,
            predicted=pair.predicted,
            iou=pair.iou,
            confidence=confidence,
        )
    ]


def _missed(position: int) -> Difference:
    return Difference(kind="missed", human=position, predicted=None, iou=0.0, confidence=None)


def _extra(position: int, predicted: Sequence[PredictedDetection]) -> Difference:
    confidence = predicted[position]["confidence"]
    return Difference(kind="extra", human=None, predicted=position, iou=0.0, confidence=confidence)
