"""API keys: who may call the API, with what scope, and when a key was last used."""

import streamlit as st

from core.errors import TmsError
from core.store import Store, keys
from core.store.keys import SCOPES, Scope
from core.store.tables import ApiKey
from pages._ui import frame
from pages._ui.notes import nothing_here, problem
from pages._ui.words import ago, count, local_time, plain

_EVERY_S = 2
_WIDTHS = (3, 2, 3, 3, 2)
_HEADINGS = ("Name", "Scope", "Made", "Last used")
_SCOPES: dict[Scope, str] = {
    "feed": "feed: post feedback and start runs",
    "operate": "operate: also review, promote and roll back",
    "admin": "admin: also webhooks",
}
_NAME = "key_name"


def draw(store: Store) -> None:
    """The list, and the way to a new key for those who may make one."""
    may_change = frame.is_admin()
    if may_change:
        _new_key(store)
    else:
        st.info(
            "You may look at the keys, not change them. `TMS_ADMINS` names who may; on the host "
            "`python -m core keys` does it too.",
            icon=":material/lock:",
        )
    _list(store, may_change)


def _new_key(store: Store) -> None:
    with st.container(border=True):
        st.subheader("New key", anchor=False)
        name, scope, button = st.columns([3, 4, 2], vertical_alignment="bottom")
        name.text_input("Whose key", key=_NAME, max_chars=64, placeholder="feed-substation-7")
        asked: Scope = scope.selectbox("What it may do", SCOPES, format_func=_SCOPES.__getitem__)
        if not keys.has_keys(store):
            st.caption(
                ":material/info: There is no key yet: programs on this machine may call the API without one. "
                "From the first key on, they have to show a key too."
            )
        if button.button("Make key", icon=":material/key:", type="primary", width="stretch"):
            _make(store, st.session_state[_NAME].strip(), asked)


def _make(store: Store, name: str, scope: Scope) -> None:
    try:
        plain_key = keys.create_key(store, name, scope)
    except TmsError as error:
        problem(error.as_dict())
        return
    _show_once(name, plain_key)


@st.dialog("The new key", width="medium", dismissible=False)
def _show_once(name: str, plain_key: str) -> None:
    st.markdown(f"Key of **{plain(name)}**. Copy it now: it is shown this once, and only its hash is kept.")
    st.code(plain_key, language=None, wrap_lines=True)
    st.markdown("Callers send it as the header `Authorization: Bearer KEY`.")
    with st.container(horizontal=True):
        # The button that copies shows itself to the pointer alone.
        st.download_button(
            "Save as a file",
            plain_key,
            f"{name}.key",
            "text/plain",
            icon=":material/download:",
            on_click="ignore",
        )
        if st.button("I have copied it", type="primary"):
            st.rerun()


@st.fragment(run_every=_EVERY_S)
def _list(store: Store, may_change: bool) -> None:
    found = keys.list_keys(store)
    in_force = [key for key in found if key.revoked_at is None]
    st.subheader("Keys in force", anchor=False)
    if in_force:
        # Above the buttons stands nothing.
        for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=False):
            column.caption(f"**{heading}**")
    else:
        nothing_here("No key is in force", "The API answers to programs on this machine alone.")
    for key in in_force:
        _row(store, key, may_change=may_change, is_last=len(in_force) == 1)
    _revoked([key for key in found if key.revoked_at is not None])


def _row(store: Store, key: ApiKey, *, may_change: bool, is_last: bool) -> None:
    name, scope, made, used, button = st.columns(_WIDTHS, vertical_alignment="center")
    name.markdown(f"**{plain(key.name)}**")
    scope.markdown(key.scope)
    made.caption(local_time(key.created_at, frame.timezone()))
    used.caption(ago(key.last_used_at) if key.last_used_at else "never")
    if may_change:
        with button:
            _revoke_button(store, key, is_last=is_last)


def _revoke_button(store: Store, key: ApiKey, *, is_last: bool) -> None:
    with st.popover("Revoke", icon=":material/key_off:", key=f"revoke_{key.id}"):
        st.markdown(
            f"**Revoke the key of {plain(key.name)}?** Whoever uses it is refused from the next call on, "
            "for good."
        )
        if is_last:
            st.markdown("It is the last key: after it the API answers to programs on this machine alone.")
        st.button(
            f"Revoke {key.name}",
            key=f"revoke_for_sure_{key.id}",
            type="primary",
            on_click=_revoke,
            args=(store, key.name),
        )


def _revoke(store: Store, name: str) -> None:
    try:
        keys.revoke_key(store, name)
    except TmsError as error:
        st.toast(plain(error.detail), icon=":material/error:")


def _revoked(found: list[ApiKey]) -> None:
    if not found:
        return
    with st.expander(f"{count(len(found), 'revoked key')}", key="revoked_open"):
        rows = [
            {
                "Name": plain(key.name),
                "Scope": key.scope,
                "Made": local_time(key.created_at, frame.timezone()),
                "Last used": ago(key.last_used_at) if key.last_used_at else "never",
                "Revoked": local_time(key.revoked_at, frame.timezone()) if key.revoked_at else "",
            }
            for key in found
        ]
        st.table(rows, border="horizontal", hide_index=True, alt="Keys that are refused now.")
