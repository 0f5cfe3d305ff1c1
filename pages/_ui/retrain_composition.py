"""What one epoch would hold, in boxes per class and in images."""

from collections.abc import Iterable

import streamlit as st

from core.dataset.images import LabelledImage, boxes_per_class
from core.dataset.revision import DatasetRevision
from core.jobs.prospect import Prospect
from pages._ui.words import plain


def draw(parts: Prospect, epoch: DatasetRevision) -> None:
    """The table."""
    replay = [epoch.replay_pool[position] for position in epoch.replay_plan[0]]
    columns = {"Feedback": epoch.feedback, "Replay in epoch 1": replay, "Base set": parts.base.train.images}
    st.subheader("What it would learn from", anchor=False)
    st.table(
        rows(columns, epoch.class_names),
        border="horizontal",
        hide_index=True,
        alt="Boxes of each class in the feedback, in the replay of the first epoch, and in the base set.",
    )
    st.caption(
        f"Boxes of each class. Replay draws from {len(epoch.replay_pool):,} images: the base set and "
        f"{sum(image.sample is not None for image in epoch.replay_pool):,} of earlier feedback. "
        f"Kept for judging and never learned from: {len(epoch.holdout.images):,} of the feedback."
    )


def rows(columns: dict[str, Iterable[LabelledImage]], class_names: tuple[str, ...]) -> list[dict[str, str]]:
    """One for each class, then one for all boxes and one for the images."""
    images = {name: list(given) for name, given in columns.items()}
    boxes = {name: boxes_per_class(given, class_names) for name, given in images.items()}
    totals = {name: sum(of_class.values()) for name, of_class in boxes.items()}
    return [
        *(
            {"Class": plain(class_name)} | {name: f"{boxes[name][class_name]:,}" for name in columns}
            for class_name in class_names
        ),
        {"Class": "**All boxes**"} | {name: f"**{total:,}**" for name, total in totals.items()},
        {"Class": "**Images**"} | {name: f"**{len(given):,}**" for name, given in images.items()},
    ]
