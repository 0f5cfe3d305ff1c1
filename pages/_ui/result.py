"""What a run that succeeded brought: verdict, old against new, what it learned from, what was put aside."""

from typing import Any

import streamlit as st

from core.evaluation.metrics import ClassScore
from core.registry.evaluations import evaluations_of
from core.schemas import FineTuneSummary, QuarantinedImage
from core.store import Store
from core.store.runs import get_row
from core.store.tables import Evaluation
from pages._ui.charts import METRICS
from pages._ui.compare_list import link_to_comparison
from pages._ui.outcome import verdict_note
from pages._ui.words import count, plain, points, points_change, short_id

_BASE_TEST = "test"


def draw(store: Store, summary: FineTuneSummary) -> None:
    """The result of a run, top to bottom."""
    verdict_note(summary)
    left, right = st.columns([3, 2], gap="medium")
    with left.container(border=True):
        st.subheader("Old against new", anchor=False)
        _overall(summary)
        _per_class(evaluations_of(store, summary.run_id), summary.checkpoint_id)
        if before := get_row(store, summary.run_id).parent_id:
            link_to_comparison(summary.checkpoint_id, before, "Compare image by image")
    with right.container(border=True):
        st.subheader("What it learned from", anchor=False)
        _composition(summary)
    with right.container(border=True):
        st.subheader("Weights", anchor=False)
        _weights(summary)
    _quarantined(summary.quarantined)


def failure(error: dict[str, Any]) -> None:
    """The log's last lines, and the images that were put aside where a run failed because of them."""
    lines = error["extra"].get("last_log_lines")
    if lines:
        with st.container(border=True):
            st.subheader("Last lines of the log", anchor=False)
            st.code("\n".join(lines), language=None, wrap_lines=True)
    _quarantined([QuarantinedImage.model_validate(image) for image in error["extra"].get("quarantined", [])])


def _overall(summary: FineTuneSummary) -> None:
    old, new = summary.champion_metrics, summary.metrics
    st.table(
        [{"Metric": name} | _compared(old.get(key), new.get(key)) for key, name in METRICS.items()],
        border="horizontal",
        hide_index=True,
        alt="Scores of the champion of before and of the candidate.",
    )


def _per_class(evaluations: list[Evaluation], candidate_id: str) -> None:
    scored = {row.checkpoint_id: row for row in evaluations if row.set_name == _BASE_TEST}
    candidate = scored.pop(candidate_id, None)
    if candidate is None or not scored:
        return
    before = _ap_by_class(next(iter(scored.values())))
    st.table(
        [_class_row(ClassScore.model_validate(row), before) for row in candidate.per_class],
        border="horizontal",
        hide_index=True,
        alt="AP50-95 of each class, before and after.",
    )
    st.caption(f"Both on the same {count(candidate.image_count, 'image')} of the base test set, in points.")


def _class_row(score: ClassScore, before: dict[str, float]) -> dict[str, str]:
    name = {"AP50-95 of class": plain(score.class_name), "Boxes": f"{score.box_count:,}"}
    return name | _compared(before.get(score.class_name), score.ap50_95)


def _ap_by_class(evaluation: Evaluation) -> dict[str, float]:
    scores = [ClassScore.model_validate(row) for row in evaluation.per_class]
    return {score.class_name: score.ap50_95 for score in scores}


def _compared(old: float | None, new: float | None) -> dict[str, str]:
    return {"Champion": points(old), "Candidate": points(new), "Change": _coloured(points_change(new, old))}


def _coloured(change: str) -> str:
    colors = {"+": "green", "\N{MINUS SIGN}": "red"}
    color = colors.get(change[0])
    return f":{color}[{change}]" if color else change


def _composition(summary: FineTuneSummary) -> None:
    parts = {
        "Feedback that it learned from": summary.feedback_samples,
        "Replay of the base set in each epoch": summary.replay_samples,
        "Held out for judging, for good": summary.holdout_samples,
        "Put aside, not usable": len(summary.quarantined),
    }
    st.table(
        [{"Part": part, "Images": f"{number:,}"} for part, number in parts.items()],
        border="horizontal",
        hide_index=True,
        alt="How many images of each kind the run used.",
    )
    asked = summary.hyperparameters
    st.caption(
        f"{count(summary.dataset_size, 'image')} an epoch, {count(asked.epochs, 'epoch')}, batches of "
        f"{asked.batch_size}, {asked.image_size} px, {asked.optimizer} at {asked.learning_rate:g}, "
        f"first {asked.freeze} modules frozen, seed {asked.seed}."
    )


def _weights(summary: FineTuneSummary) -> None:
    candidate, live = short_id(summary.checkpoint_id), short_id(summary.champion_id)
    st.markdown(f"This run made **{candidate}**.")
    st.caption(f"Live after it: {live}. Inference services read:")
    st.code(summary.weights_path, language=None, wrap_lines=True)


def _quarantined(images: list[QuarantinedImage]) -> None:
    if not images:
        return
    with st.container(border=True):
        st.subheader(f"Put aside: {count(len(images), 'image')}", anchor=False)
        st.dataframe(
            [
                {
                    "#": image.index,
                    "Image": image.sample_id or image.image_url,
                    "Reason": image.detail,
                    "What to do": image.repair,
                    "Code": image.code,
                }
                for image in images
            ],
            hide_index=True,
            alt="Images that were put aside, why, and what would make them usable.",
        )
