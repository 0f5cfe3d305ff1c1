"""What everything takes, and what of it may go."""

import streamlit as st

from core.errors import TmsError
from core.registry import retention
from core.registry.retention import Surplus
from core.store import Store
from core.store.usage import StorageUsage
from pages._ui.gauge import gauge_of
from pages._ui.notes import nothing_here, problem
from pages._ui.words import ago, count, plain, short_id, size

_EVERY_S = 2
_ROWS = 20
_SEEN = "surplus_seen"


def draw(store: Store) -> None:
    """The whole part."""
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True):
        st.subheader("What is kept", anchor=False)
        _usage(store)
    with right, st.container(border=True):
        st.subheader("What may go", anchor=False)
        _retention(store)


@st.fragment(run_every=_EVERY_S)
def _usage(store: Store) -> None:
    try:
        measured = gauge_of(store).look()
    except TmsError as error:
        problem(error.as_dict())
        return
    if measured is None:
        st.markdown(":material/hourglass_top: Looking at every file …")
        return
    usage, at = measured
    used = 1 - usage.disk_free / usage.disk_total
    st.progress(used, text=f"Disk, {size(usage.disk_free)} of {size(usage.disk_total)} free")
    rows = [{"What": what, "Size": size(size_bytes)} for what, size_bytes in _places(store, usage).items()]
    st.table(rows, border="horizontal", hide_index=True, alt="What takes how much space.")
    st.caption(f"Measured {ago(at)}. Files with two names are counted once.")


def _places(store: Store, usage: StorageUsage) -> dict[str, int]:
    database = "SQLite" if store.database.is_sqlite else "PostgreSQL"
    return {
        f"Database ({database})": usage.database,
        "Images, weights and other blobs": usage.blobs,
        "Checkpoints and published weights": usage.weights,
        "Training artefacts of runs": usage.runs,
        "Logs": usage.logs,
        "Caches and demo": usage.caches,
    }


def _retention(store: Store) -> None:
    settings = store.settings
    st.markdown(
        f"`TMS_KEEP_RUNS` keeps the folders of the newest ended runs ({settings.keep_runs:,}), "
        f"`TMS_KEEP_CHECKPOINTS` the newest checkpoints ({settings.keep_checkpoints:,}), besides each that "
        "was live, is a parent of another, or was compared by somebody. Each run that succeeds tidies on its "
        "host; this is what would go now."
    )
    _tidy_if_asked(store)
    found = retention.surplus(store)
    if not found:
        nothing_here("Nothing to remove", "All that is here is to be kept; lower a setting to keep less.")
        return
    _listed(found)
    _tidy_button(store, found)


def _listed(found: list[Surplus]) -> None:
    rows = [
        {"What": f"folder of {plain(short_id(one.id))}" if one.kind == "run" else plain(short_id(one.id))}
        | {"Size": size(one.size_bytes)}
        for one in found[:_ROWS]
    ]
    st.table(rows, border="horizontal", hide_index=True, alt="What would be removed.")
    if len(found) > _ROWS:
        st.caption(f"and {len(found) - _ROWS:,} more")


def _tidy_button(store: Store, found: list[Surplus]) -> None:
    with st.popover(f"Tidy: free {_freed(found)}", icon=":material/mop:"):
        st.markdown(
            f"**Remove {_in_words(found)} for good?** Scores and ONNX files of checkpoints go with them. "
            "Images, corrections, records and logs of runs stay, and so does what is live."
        )
        seen = frozenset(one.id for one in found)
        st.button("Remove them", key="tidy_for_sure", type="primary", on_click=_keep_seen, args=(seen,))


def _keep_seen(seen: frozenset[str]) -> None:
    st.session_state[_SEEN] = seen


def _tidy_if_asked(store: Store) -> None:
    seen = st.session_state.pop(_SEEN, None)
    if seen is None:
        return
    try:
        with st.spinner("Removing …"):
            removed = retention.tidy(store, seen)
    except TmsError as error:
        problem(error.as_dict())
        return
    if removed:
        told = f"{_in_words(removed)} removed, {_freed(removed)} freed."
        st.success(told, icon=":material/check_circle:")
    else:
        st.info("Nothing of that was left to remove: somebody else was faster.")


def _freed(found: list[Surplus]) -> str:
    return size(sum(one.size_bytes for one in found))


def _in_words(found: list[Surplus]) -> str:
    runs = sum(one.kind == "run" for one in found)
    parts = [(runs, "run folder"), (len(found) - runs, "checkpoint")]
    return " and ".join(count(number, thing) for number, thing in parts if number)
