"""Pairs that were compared lately, with what came of it; and links that open a comparison."""

import streamlit as st

from core.registry import comparisons, verdicts
from core.registry.comparisons import ComparedPair
from core.registry.verdicts import Judgement
from core.store import Store
from pages._ui import frame
from pages._ui.outcome import VERDICT_ICONS, VERDICTS
from pages._ui.words import MISSING, ago, local_time, points_change, short_id

_PAGE = 10
_WIDTHS = (4, 4, 4, 3, 5)
_HEADINGS = ("New", "Old", "Verdict", "Δ AP50-95", "Compared")


def link_to_comparison(candidate_id: str, baseline_id: str, label: str) -> None:
    """A link that opens the comparison of two models."""
    st.page_link(
        "pages/compare.py",
        label=label,
        icon=":material/compare:",
        query_params={"candidate": candidate_id, "baseline": baseline_id},
        help=f"{candidate_id} against {baseline_id}",
    )


@st.fragment(run_every=3)
def draw(store: Store) -> None:
    """The list, kept up to date."""
    shown = st.session_state.setdefault("comparisons_shown", _PAGE)
    pairs = comparisons.recent_pairs(store, limit=shown + 1)
    st.subheader("Compared lately", anchor=False)
    if not pairs:
        st.caption(
            "Nothing was compared yet. Each fine-tune does it at its end; choose two above to do it now."
        )
        return
    for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=True):
        column.caption(f"**{heading}**")
    for pair in pairs[:shown]:
        _row(store, pair)
    if len(pairs) > shown:
        st.button("Show older comparisons", on_click=_show_more)


def _show_more() -> None:
    st.session_state["comparisons_shown"] += _PAGE


def _row(store: Store, pair: ComparedPair) -> None:
    new, old, verdict, change, when = st.columns(_WIDTHS, vertical_alignment="center")
    with new:
        link_to_comparison(pair.candidate_id, pair.baseline_id, short_id(pair.candidate_id))
    old.caption(short_id(pair.baseline_id))
    judged = verdicts.known(store, pair.baseline_id, pair.candidate_id)
    verdict.caption(_verdict(judged))
    change.caption(_change(judged, pair.baseline_id))
    when.caption(f"{local_time(pair.compared_at, frame.timezone())}, {ago(pair.compared_at)}")


def _verdict(judged: Judgement | None) -> str:
    if judged is None:
        return MISSING
    found = judged.decision.verdict
    return f"{VERDICT_ICONS[found]} {VERDICTS[found]}"


def _change(judged: Judgement | None, baseline_id: str) -> str:
    """On the base test set, where every pair that has a judgement was compared."""
    if judged is None:
        return MISSING
    key = (baseline_id, verdicts.BASE_TEST)
    row = next(row for row in judged.comparisons if (row.baseline_id, row.set_name) == key)
    change = comparisons.changes_of(row).overall.ap50_95
    return points_change(change.new, change.old)
