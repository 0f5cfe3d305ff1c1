"""All runs, newest first, one row each."""

import streamlit as st

from core.schemas import RunView
from core.store import Store
from core.store.run_views import list_runs
from pages._ui import frame
from pages._ui.notes import nothing_here
from pages._ui.outcome import VERDICTS, gain
from pages._ui.progress import status_badge
from pages._ui.queue import place_in_short
from pages._ui.words import MISSING, ago, local_time, moment, plain, short_id

_PAGE = 20
_WIDTHS = (3, 3, 6, 4, 4, 3, 2)
_HEADINGS = ("Run", "Status", "Posted", "By", "Verdict", "Δ mAP50-95", "Published")


def link_to(run_id: str, icon: str | None = None) -> None:
    """A link that opens a run."""
    st.page_link(
        "pages/runs.py", label=short_id(run_id), icon=icon, query_params={"run": run_id}, help=run_id
    )


@st.fragment(run_every=3)
def draw(store: Store) -> None:
    """The list, a page at a time, kept up to date."""
    shown = st.session_state.setdefault("runs_shown", _PAGE)
    runs = list_runs(store, limit=shown + 1)
    if not runs:
        nothing_here("No run yet", "Start a demo fine-tune on the Overview, or post feedback to the API.")
        return
    _headings()
    for run in runs[:shown]:
        _row(run)
    if len(runs) > shown:
        st.button("Show older runs", on_click=_show_more)


def _show_more() -> None:
    st.session_state["runs_shown"] += _PAGE


def _headings() -> None:
    for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=True):
        column.caption(f"**{heading}**")


def _row(run: RunView) -> None:
    name, status, posted, by, verdict, change, published = st.columns(_WIDTHS, vertical_alignment="center")
    with name:
        link_to(run.id)
    with status:
        status_badge(run)
    created = moment(run.created_at)
    posted.caption(f"{local_time(created, frame.timezone())}, {ago(created)}")
    by.caption(f"{plain(run.actor)} ({plain(run.source)})")
    summary = run.summary
    verdict.caption(_verdict(run))
    change.caption(gain(summary) if summary else MISSING)
    published.caption(("yes" if summary.promoted else "no") if summary else MISSING)


def _verdict(run: RunView) -> str:
    if run.status == "queued":
        return place_in_short(run, frame.timezone())
    return VERDICTS[run.summary.verdict] if run.summary else MISSING
