"""What the next run could be made of, as the screen reads it again and again."""

from datetime import timedelta

import streamlit as st

from core.dataset.base_set import BaseSet
from core.jobs import prospect
from core.jobs.prospect import Prospect
from core.registry import publish
from core.store import Store

_KEPT_FOR = timedelta(seconds=60)


def parts_of(store: Store) -> Prospect:
    """What is approved this moment, with a base set that was read within the last minute.

    Raises:
        BaseSetMissing: If there is no base set.
        BaseSetInvalid: If it cannot be read.
        ClassMapMismatch: If it does not name the live model's classes.
    """
    live = publish.champion(store)
    return prospect.prospect(store, _base_set(store, str(store.settings.home), live.id if live else None))


@st.cache_resource(show_spinner="Reading the base set …", ttl=_KEPT_FOR, max_entries=4)
def _base_set(_store: Store, home: str, champion_id: str | None) -> BaseSet:
    """Every file of it is looked at, and the class order is the champion's."""
    del home, champion_id
    return prospect.base_set(_store)
