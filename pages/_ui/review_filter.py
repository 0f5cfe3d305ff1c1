"""Which samples the Review screen shows, in which order: held by the address, so that it can be sent on."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import streamlit as st
from pydantic import ValidationError

from core.feedback.batches import list_batches
from core.schemas_review import SampleCounts, SampleOrder, SampleStatus
from core.store import Store
from core.store.tables import SAMPLE_STATUSES
from pages._ui import frame
from pages._ui.words import count, local_time, moment, plain, short_id

STATUS_WORDS = {
    "pending": "Waiting",
    "approved": "Approved",
    "rejected": "Rejected",
    "quarantined": "Put aside",
}
_SORTS = {"newest": "Newest first", "oldest": "Oldest first", "disagreement": "Most disagreement first"}
_HOLDOUT = {None: "Any", True: "Kept for judging", False: "Learned from"}
_WARNINGS = {None: "Any", True: "With warnings", False: "Without"}
# Streamlit marks no choice of a radio that stands for None.
_ALL: Literal["all"] = "all"
_BATCHES_OFFERED = 50
_LONGEST = 200


def wanted() -> SampleOrder:
    """The samples that the address asks for; what is no filter is passed over."""
    given = {name: st.query_params[name] for name in SampleOrder.model_fields if name in st.query_params}
    return SampleOrder(**{name: value for name, value in given.items() if _is_valid(name, value)})


def _is_valid(name: str, value: Any) -> bool:
    try:
        SampleOrder.model_validate({name: value})
    except ValidationError:
        return False
    return True


def clear() -> None:
    """Ask for all samples, newest first."""
    for name in SampleOrder.model_fields:
        st.query_params.pop(name, None)


def is_narrowed(order: SampleOrder) -> bool:
    """Whether anything is filtered."""
    return bool(order.model_dump(exclude={"sort"}, exclude_none=True))


def draw(store: Store, counts: SampleCounts, class_names: Sequence[str]) -> None:
    """The controls; each writes into the address."""
    order = wanted()
    _hold("status", order.status or _ALL)
    st.radio(
        "Status",
        [_ALL, *SAMPLE_STATUSES],
        key=_key("status"),
        format_func=lambda status: _status_words(status, counts),
        horizontal=True,
        on_change=_choose,
        args=("status",),
    )
    text, of_class, sort, more = st.columns([4, 4, 3, 2], vertical_alignment="bottom")
    with text:
        _text("text", "Name contains", order.text)
    with of_class:
        classes = _classes_of(order, counts, class_names)
        _one_of("class_id", "Class", [None, *classes], order.class_id, lambda id_: classes.get(id_, "Any"))
    with sort:
        _one_of("sort", "Order", list(_SORTS), order.sort, _SORTS.__getitem__)
    with more.popover("More filters", icon=":material/filter_list:", width="stretch"):
        _batch(store, order)
        _text("group", "Transformer or inspection", order.group)
        _one_of("is_holdout", "Holdout", list(_HOLDOUT), order.is_holdout, _HOLDOUT.__getitem__)
        _one_of("has_warnings", "Warnings", list(_WARNINGS), order.has_warnings, _WARNINGS.__getitem__)
    if is_narrowed(order):
        st.button("Clear filters", icon=":material/filter_list_off:", type="tertiary", on_click=clear)


def _status_words(status: SampleStatus | Literal["all"], counts: SampleCounts) -> str:
    if status == _ALL:
        return f"All ({sum(counts.by_status.values()):,})"
    return f"{STATUS_WORDS[status]} ({counts.by_status[status]:,})"


def _classes_of(order: SampleOrder, counts: SampleCounts, class_names: Sequence[str]) -> dict[Any, str]:
    ids = {*range(len(class_names)), *counts.by_class, *([] if order.class_id is None else [order.class_id])}
    names = dict(enumerate(class_names))
    return {id_: f"{names.get(id_, f'class {id_}')} ({counts.by_class.get(id_, 0):,})" for id_ in sorted(ids)}


def _batch(store: Store, order: SampleOrder) -> None:
    batches = {one.id: one for one in list_batches(store, limit=_BATCHES_OFFERED)}

    def said(id_: str | None) -> str:
        if id_ is None:
            return "Any"
        if id_ not in batches:
            return short_id(id_)
        batch = batches[id_]
        when = local_time(moment(batch.created_at), frame.timezone())
        return f"{when}, {batch.actor} ({batch.source})"

    offered = [None, *batches]
    if order.batch_id not in offered:
        offered.append(order.batch_id)
    _one_of("batch_id", "Batch", offered, order.batch_id, said)


def _one_of(name: str, label: str, options: Sequence[Any], value: Any, said: Callable[[Any], str]) -> None:
    _hold(name, value)
    st.selectbox(
        label,
        options,
        key=_key(name),
        format_func=said,
        placeholder="Any",
        on_change=_choose,
        args=(name,),
    )


def _text(name: str, label: str, value: str | None) -> None:
    _hold(name, value or "")
    st.text_input(label, key=_key(name), max_chars=_LONGEST, on_change=_choose, args=(name,))


def _key(name: str) -> str:
    return f"review_{name}"


def _hold(name: str, value: Any) -> None:
    # The address may have changed without the control: by a link, or by going back.
    st.session_state[_key(name)] = value


def _choose(name: str) -> None:
    value = st.session_state[_key(name)]
    if (
        value in (None, "")
        or (name == "status" and value == _ALL)
        or value == SampleOrder.model_fields[name].default
    ):
        st.query_params.pop(name, None)
    elif _is_valid(name, value):
        st.query_params[name] = str(value).lower() if isinstance(value, bool) else str(value)


def in_words(order: SampleOrder, counts: SampleCounts) -> str:
    """How many samples are meant."""
    found = count(counts.matching, "image")
    about = [f"named like “{plain(order.text)}”"] if order.text else []
    about += [f"of {plain(order.group)}"] if order.group else []
    return " ".join([found, *about])
