"""What came of a run, in words."""

import streamlit as st

from core.evaluation.metrics import MAP50_95
from core.schemas import FineTuneSummary, RunView, Verdict
from pages._ui.words import plain, points_change

VERDICTS: dict[Verdict, str] = {
    "pass": "passed",
    "fail": "got worse",
    "not_enough_evidence": "not enough evidence",
}
VERDICT_ICONS: dict[Verdict, str] = {
    "pass": ":material/check_circle:",
    "fail": ":material/trending_down:",
    "not_enough_evidence": ":material/help:",
}


def headline(summary: FineTuneSummary) -> str:
    """The verdict and what it led to, in one sentence."""
    if summary.promoted and summary.verdict == "pass":
        return "The new weights passed and are live."
    if summary.promoted:
        return "No loss was seen, so the new weights are live; that they are better is not proven."
    if summary.verdict == "fail":
        return "The new weights are worse. The champion stays; the candidate is kept."
    if summary.verdict == "not_enough_evidence":
        return "There is not enough evidence. The champion stays; the candidate is kept."
    return "The new weights passed and wait for a person to promote them."


def verdict_note(summary: FineTuneSummary) -> None:
    """The verdict with its reason, coloured by what it means."""
    box = st.success if summary.promoted else st.warning if summary.verdict == "fail" else st.info
    box(f"**{headline(summary)}**\n\n{plain(summary.verdict_reason)}", icon=VERDICT_ICONS[summary.verdict])


def gain(summary: FineTuneSummary) -> str:
    """Change of mAP50-95 on the base test set, in points."""
    return points_change(summary.metrics.get(MAP50_95), summary.champion_metrics.get(MAP50_95))


def outcome(run: RunView) -> str:
    """How a run ended, in a few words; empty while it has not."""
    if run.summary:
        live = "published" if run.summary.promoted else "not published"
        return f"{VERDICTS[run.summary.verdict]}, {gain(run.summary)} points, {live}"
    return f"failed: {plain(run.error['title'])}" if run.error else run.status


def outcome_icon(run: RunView) -> str:
    """An icon for how a run ended."""
    if run.summary:
        return VERDICT_ICONS[run.summary.verdict]
    return ":material/error:" if run.error else ":material/block:"
