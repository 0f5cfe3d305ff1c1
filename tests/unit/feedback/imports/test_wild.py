"""Whatever is handed in, the answer is a report or a refusal, and never a crash."""

import io
import json
from collections.abc import Sequence
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from core.errors import InvalidRequest, PayloadTooLarge
from core.feedback.imports.archive import Archive
from core.feedback.imports.class_names import matches
from core.feedback.imports.inspection import ImportReport, inspect, report_on
from core.schemas import ImportFormat
from tests.factories import CLASS_NAMES
from tests.unit.feedback.imports.archives import HEIGHT, SETTINGS, WIDTH, picture, silent
from tests.unit.feedback.imports.tools import PACKS, Labelled, YoloBox

IMAGES = [
    Labelled(f"{number}.jpg", picture(number), WIDTH, HEIGHT, [YoloBox(number, 0.5, 0.5, 0.25, 0.25)])
    for number in range(2)
]
PACKED = {name: pack(IMAGES, CLASS_NAMES).getvalue() for name, pack in PACKS.items()}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def outcome(sources: Sequence[tuple[str, bytes]], format_name: ImportFormat | None = None) -> str:
    """What comes of it, as it would be answered."""
    try:
        with Archive([(name, io.BytesIO(content)) for name, content in sources], SETTINGS) as archive:
            inspection = inspect(archive, format_name, silent)
    except (InvalidRequest, PayloadTooLarge) as refused:
        return refused.detail.encode().decode()
    matched = matches(inspection.boxes_per_class, CLASS_NAMES, {}, {})
    report = report_on(inspection, matched, None)
    return ImportReport.model_validate_json(report.model_dump_json()).format


def members(packed: bytes) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("name", PACKED)
def test_as_it_is_each_is_read(name: str) -> None:
    assert outcome([("x.zip", PACKED[name])]) == name


@pytest.mark.parametrize("name", PACKED)
@given(at=st.floats(0, 1), with_bytes=st.binary(max_size=8), drop=st.integers(0, 300))
@budget(max_examples=60)
def test_a_damaged_zip(name: str, at: float, with_bytes: bytes, drop: int) -> None:
    position = round(at * len(PACKED[name]))
    damaged = PACKED[name][:position] + with_bytes + PACKED[name][position + drop :]
    assert outcome([("x.zip", damaged)])


@pytest.mark.parametrize("name", PACKED)
@given(data=st.data())
@budget(max_examples=60)
def test_a_damaged_file_in_it(name: str, data: st.DataObject) -> None:
    files = members(PACKED[name])
    victim = data.draw(st.sampled_from(sorted(files)))
    position = data.draw(st.integers(0, len(files[victim])))
    inserted = data.draw(st.binary(max_size=8))
    drop = data.draw(st.integers(0, 40))
    files[victim] = files[victim][:position] + inserted + files[victim][position + drop :]
    assert outcome(list(files.items()), name)  # type: ignore[arg-type]


def mutated(document: Any, data: st.DataObject) -> Any:
    """The document with one value in it replaced by any other."""
    if isinstance(document, dict) and document and data.draw(st.integers(0, 5)):
        key = data.draw(st.sampled_from(sorted(document)))
        return document | {key: mutated(document[key], data)}
    if isinstance(document, list) and document and data.draw(st.integers(0, 5)):
        position = data.draw(st.integers(0, len(document) - 1))
        changed = mutated(document[position], data)
        return [*document[:position], changed, *document[position + 1 :]]
    return data.draw(JSON)


@pytest.mark.parametrize("name", ["coco", "label_studio"])
@given(data=st.data())
@budget(max_examples=150)
def test_json_with_something_else_in_it(name: str, data: st.DataObject) -> None:
    files = members(PACKED[name])
    label = next(file for file in files if file.endswith(".json"))
    files[label] = json.dumps(mutated(json.loads(files[label]), data)).encode()
    assert outcome(list(files.items()), name)  # type: ignore[arg-type]


@given(
    text=st.text(max_size=200), name=st.sampled_from(["data.yaml", "classes.txt", "0.txt", "x.json", "x.xml"])
)
@budget(max_examples=150)
def test_any_text_beside_an_image(text: str, name: str) -> None:
    sources = [("0.jpg", picture()), (name, text.encode(errors="replace")), ("1.txt", b"0 0.5 0.5 0.5 0.5")]
    for format_name in (None, *PACKS):
        assert outcome(sources, format_name)  # type: ignore[arg-type]
