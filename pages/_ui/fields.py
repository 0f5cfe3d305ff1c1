"""A field of a wire type as a control, drawn from its JSON schema: its range, unit and help."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from pydantic import BaseModel

Schema = Mapping[str, Any]

_MOST_SLIDER_STEPS = 200
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}


def fields_of(model: type[BaseModel]) -> dict[str, Schema]:
    """The schema of each field; one that may be empty is marked as `nullable`."""
    return {name: _flat(schema) for name, schema in model.model_json_schema()["properties"].items()}


def _flat(schema: Schema) -> Schema:
    kinds = [kind for kind in schema.get("anyOf", []) if kind["type"] != "null"]
    return {**schema, **kinds[0], "nullable": True} if kinds else schema


def label_of(schema: Schema) -> str:
    """Its title, with the unit."""
    unit = f" ({schema['unit']})" if "unit" in schema else ""
    return f"{schema['title'].capitalize()}{unit}"


def help_of(schema: Schema) -> str:
    """What it does, and its range."""
    bounds = [said.format(f"{schema[bound]:,}") for bound, said in _BOUNDS.items() if bound in schema]
    return f"{schema['description']} Range: {', '.join(bounds)}." if bounds else schema["description"]


def draw(
    name: str,
    schema: Schema,
    key: str,
    on_change: Callable[[str], None],
    *,
    useful_most: int | None = None,
) -> None:
    """Draw the control whose value the session holds under the key.

    Args:
        name: Of the field.
        schema: From `fields_of`.
        key: Of the control.
        on_change: Called with the name once the viewer has chosen another value.
        useful_most: What it makes no sense to exceed, such as what there is; makes the control a slider.
    """
    common = {
        "label": label_of(schema),
        "help": help_of(schema),
        "key": key,
        "on_change": on_change,
        "args": (name,),
    }
    if "enum" in schema:
        st.selectbox(options=schema["enum"], format_func=lambda value: value.replace("_", " "), **common)
    elif schema["type"] == "string":
        st.text_input(max_chars=schema.get("maxLength"), placeholder="empty", **common)
    elif _is_for_a_slider(schema, useful_most):
        highest = schema["maximum"] if useful_most is None else _within(useful_most, schema, key)
        st.slider(min_value=schema["minimum"], max_value=highest, step=_step(schema), **common)
    else:
        _number(schema, common)


def _is_for_a_slider(schema: Schema, useful_most: int | None) -> bool:
    if schema["type"] != "integer":
        return False
    return (
        useful_most is not None
        or (schema["maximum"] - schema["minimum"]) / _step(schema) <= _MOST_SLIDER_STEPS
    )


def _within(useful_most: int, schema: Schema, key: str) -> int:
    # A preset or an address may ask for more than there is.
    return max(useful_most, st.session_state[key], schema["minimum"] + _step(schema))


def _number(schema: Schema, common: dict[str, Any]) -> None:
    lowest, highest = _closed(schema)
    empty = {"value": None, "placeholder": "none"} if schema.get("nullable") else {}
    number_format = {"format": "%g"} if schema["type"] == "number" else {}
    st.number_input(
        min_value=lowest, max_value=highest, step=_step(schema), **number_format, **empty, **common
    )


def _closed(schema: Schema) -> tuple[Any, Any]:
    """The lowest and the highest value, an open end by the nearest number inside."""
    if schema["type"] == "integer":
        return schema["minimum"], schema["maximum"]
    lowest = schema.get("minimum")
    highest = schema.get("maximum")
    if lowest is None:
        lowest = math.nextafter(schema["exclusiveMinimum"], math.inf)
    if highest is None:
        highest = math.nextafter(schema["exclusiveMaximum"], -math.inf)
    return float(lowest), float(highest)


def _step(schema: Schema) -> Any:
    if schema["type"] == "integer":
        return schema.get("multipleOf", 1)
    usual = schema.get("default")
    return 10.0 ** (math.floor(math.log10(usual)) - 1) if usual else 1.0
