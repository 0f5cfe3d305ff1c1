"""The form as a request of a script: what it says beside the defaults, for curl and for Python."""

import json
import shlex

import streamlit as st

from core.config import Settings
from core.schemas import RetrainRequest


def draw(settings: Settings, request: RetrainRequest) -> None:
    """Both, to be copied."""
    with st.expander("The same by script", icon=":material/terminal:"):
        st.caption(
            "Only what differs from the defaults is named. Where API keys are set up, add "
            "-H 'Authorization: Bearer KEY'."
        )
        for name, script in (("curl", curl(settings, request)), ("Python", python(request))):
            st.markdown(f"**{name}**")
            st.code(script, language=None, wrap_lines=True)


def curl(settings: Settings, request: RetrainRequest) -> str:
    """A command line that hands in the same request."""
    body = json.dumps(request.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    return f"curl --json {shlex.quote(body)} http://{settings.api_host}:{settings.api_port}/api/retrain"


def python(request: RetrainRequest) -> str:
    """A script that does it on this host, without the API."""
    given = ", ".join(
        f"{name}={value!r}" for name, value in request.model_dump(exclude_defaults=True).items()
    )
    return f"""\
from core.jobs.service import submit_retrain
from core.schemas import RetrainRequest
from core.store import Store

request = RetrainRequest({given})
with Store.open() as store:
    print(submit_retrain(store, request, source="python", actor="local").run_id)
"""
