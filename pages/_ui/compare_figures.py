"""Figures of two models on the same images: how each changed, curves, confusion, kinds of errors."""

from collections.abc import Sequence

import streamlit as st

from core.errors import TmsError
from core.evaluation.figures import ErrorKind, Figures
from core.evaluation.intervals import Change
from core.registry import comparisons
from core.store import Store
from core.store.tables import Comparison
from pages._ui import charts, compare_charts, compare_reading
from pages._ui.notes import problem
from pages._ui.words import MISSING, boxes_in_words, count, plain, points, points_change

_ALL = -1
_KINDS: dict[ErrorKind, str] = {
    "missed": "Missed: nothing accounts for the box",
    "background": "False alarm: nothing is there",
    "class": "Right place, wrong class",
    "place": "Right class, loose box",
    "both": "Wrong class and loose box",
    "duplicate": "Found twice",
}


def draw(store: Store, row: Comparison, class_names: Sequence[str]) -> None:
    """All of them; what can be made from raw detections alone only where those are kept."""
    _changes(comparisons.changes_of(row).known_changes())
    scores = comparisons.scores_of(store, row)
    if scores is None:
        st.caption("Curves, confusion and errors cannot be shown: the detections were not kept.")
        return
    try:
        old, new = (compare_reading.figures(store, score) for score in scores)
    except TmsError as error:
        problem(error.as_dict())
        return
    left, right = st.columns(2, gap="medium")
    with left.container(border=True):
        _curves(old, new, class_names)
    with right.container(border=True):
        _errors(old, new)
    with st.container(border=True):
        _confusions(old, new, class_names)


def _changes(changes: Sequence[tuple[str, Change]]) -> None:
    with st.container(border=True):
        st.subheader("What changed, and how sure that is", anchor=False)
        if not changes:
            st.caption("No image of this set has a box: there is nothing to score.")
            return
        ways = [compare_charts.direction(change) for _, change in changes]
        told = ", ".join(f"{way}: {ways.count(way)}" for way in dict.fromkeys(ways))
        charts.draw(
            "intervals",
            compare_charts.intervals(changes),
            f"Change of {count(len(changes), 'figure')} from old to new with 95 % intervals; {told}.",
            compare_charts.intervals_height_px(len(changes)),
        )
        with st.expander("The same as numbers"):
            st.table(
                [_in_numbers(name, change) for name, change in changes],
                border="horizontal",
                hide_index=True,
                alt="Each figure of old and new in points, its change, the 95 % interval and the p-value.",
            )


def _in_numbers(name: str, change: Change) -> dict[str, str]:
    ends = (points_change(change.low_95, 0.0), points_change(change.high_95, 0.0))
    return {
        "In points": plain(name),
        "Old": points(change.old),
        "New": points(change.new),
        "Change": points_change(change.new, change.old),
        "95 % interval": MISSING if change.low_95 is None else " to ".join(ends),
        "p": MISSING if change.p_value is None else f"{change.p_value:.3f}",
    }


def _curves(old: Figures, new: Figures, class_names: Sequence[str]) -> None:
    st.subheader("Precision and recall", anchor=False)
    if not old.curves:
        st.caption("No image of this set has a box.")
        return
    named = {_ALL: "All classes, their mean"} | {
        one.class_id: class_names[one.class_id] for one in old.curves
    }
    chosen = st.selectbox("Class", named, format_func=named.__getitem__, key="compare_curve")
    class_id = None if chosen == _ALL else chosen
    chart = compare_charts.precision_recall(old, new, class_id)
    charts.draw("curves", chart, f"Precision over recall at IoU 0.50, {_ap50(old, new, class_id)}.", 320)
    st.caption(f"At IoU 0.50, in percent. Marked: the deploy threshold, {new.confidence:g}.")


def _ap50(old: Figures, new: Figures, class_id: int | None) -> str:
    found = [
        next((row for row in one.per_class if row.class_id == class_id), one.overall) for one in (old, new)
    ]
    return f"AP50 {points(found[0].ap50)} old, {points(found[1].ap50)} new"


def _errors(old: Figures, new: Figures) -> None:
    st.subheader("Kinds of errors", anchor=False)
    by_kind = [{error.kind: error for error in one.errors} for one in (old, new)]
    rows = []
    for kind, words in _KINDS.items():
        before, after = (errors[kind] for errors in by_kind)
        cost = f"{points(before.ap50_cost)} → {points(after.ap50_cost)}"
        rows.append(
            {
                "Kind": words,
                "Old": f"{before.count:,}",
                "New": f"{after.count:,}",
                "Change": _signed(after.count - before.count),
                "AP50 it costs": cost,
            }
        )
    st.table(rows, border="horizontal", hide_index=True, alt="How often each kind of error was made.")
    st.caption(f"Counted at the deploy threshold, {new.confidence:g}; the cost is over all thresholds.")


def _signed(number: int) -> str:
    return f"{number:+,}".replace("-", "\N{MINUS SIGN}") if number else "±0"


def _confusions(old: Figures, new: Figures, class_names: Sequence[str]) -> None:
    st.subheader("Confusion at the deploy threshold", anchor=False)
    shown = compare_charts.shown_classes(old, new)
    height_px = compare_charts.confusion_height_px(len(shown))
    for column, side, one in zip(st.columns(2, gap="medium"), ("old", "new"), (old, new), strict=True):
        with column:
            right = sum(one.confusion[at][at] for at in range(len(one.confusion)))
            missed, alone = sum(row[-1] for row in one.confusion), sum(one.confusion[-1])
            unmet = f"{boxes_in_words(missed)} without a claim, {count(alone, 'claim')} without a box"
            told = f"{right:,} right, {unmet}"
            st.markdown(f"**{side.capitalize()}**: {told}")
            chart = compare_charts.confusion(one, class_names, shown, st.context.theme.type)
            charts.draw(f"confusion_{side}", chart, f"Confusion of {side}: {told}.", height_px)
