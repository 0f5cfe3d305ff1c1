"""Imports labelled images: looks at them, maps their classes, and records them as one feedback batch."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO, Any

from core.errors import InvalidRequest
from core.feedback import uploads
from core.feedback.boxes import on_grid
from core.feedback.imports.archive import Archive
from core.feedback.imports.class_names import SOURCE, Match, matches, remembered_map
from core.feedback.imports.inspection import ImportReport, Inspection, Progress, inspect, report_on
from core.feedback.imports.records import LabelledFile, Unreadable
from core.feedback.intake import record_batch
from core.schemas import FeedbackRequest, ImportOptions
from core.store import Store

_ID_CHARACTERS = 200
_PROBLEMS_NAMED = 3


def import_files(
    store: Store,
    sources: Iterable[tuple[str, IO[bytes]]],
    options: ImportOptions,
    *,
    class_names: Sequence[str],
    actor: str,
    on_progress: Progress,
) -> ImportReport:
    """Take labelled images in as one feedback batch, which then goes through intake like any other.

    Args:
        store: Where the batch goes.
        sources: File name and content of each file: a zip, or images and labels; read and left open.
        options: How.
        class_names: The live model's class map.
        actor: Who imports.
        on_progress: See `Progress`.

    Raises:
        InvalidRequest: If nothing can be read, no image can be used, or a class name stands for nothing.
        PayloadTooLarge: If there is too much.
        DiskFull: If there is no space, and BlobStoreUnavailable if the blob store does not answer. No batch
            is recorded then; the same import may be tried again.
    """
    with Archive(sources, store.settings) as archive:
        inspection = inspect(archive, options.format, on_progress)
        names = inspection.boxes_per_class
        matched = matches(names, class_names, options.mapping, remembered_map(store))
        if options.dry_run:
            return report_on(inspection, matched, None)
        _check(inspection, matched, class_names)
        posted = _keep(store, archive, inspection, matched, actor, on_progress)
    return report_on(inspection, matched, _record(store, posted, options, matched, actor))


def _check(inspection: Inspection, matched: Mapping[str, Match], class_names: Sequence[str]) -> None:
    unknown = [name for name, match in matched.items() if match.why == "unknown"]
    if unknown:
        raise InvalidRequest(
            f"Say what these classes stand for, or that they are left out: {', '.join(unknown)}. "
            f"The live model's classes are {', '.join(class_names)}.",
            unknown_classes=unknown,
            class_names=list(class_names),
        )
    if not inspection.files:
        reasons = " ".join(f"{one.file}: {one.detail}" for one in inspection.problems[:_PROBLEMS_NAMED])
        raise InvalidRequest(f"No image of the import can be used. {reasons}")


def _keep(
    store: Store,
    archive: Archive,
    inspection: Inspection,
    matched: Mapping[str, Match],
    actor: str,
    on_progress: Progress,
) -> list[dict[str, Any]]:
    """Upload one image after the other; what is posted for each."""
    posted = []
    names = Counter(_base(file) for file in inspection.files)
    for done, file in enumerate(inspection.files, 1):
        try:
            address = uploads.keep(store, archive.read_image(file.name), actor)
        except Unreadable as unreadable:
            raise InvalidRequest(str(unreadable)) from unreadable
        name = _base(file) if names[_base(file)] == 1 else file.name
        posted.append(
            {
                "image_url": address,
                "detections": _detections(file, matched),
                "sample_id": _short(name),
                "group": _short(file.group or ""),
            }
        )
        on_progress("Storing images", done, len(inspection.files))
    return posted


def _record(
    store: Store,
    posted: list[dict[str, Any]],
    options: ImportOptions,
    matched: Mapping[str, Match],
    actor: str,
) -> str:
    """Record the batch, with the map of its class names, and give its id."""
    request = FeedbackRequest.model_validate({"images": posted, "note": options.note})
    class_map = {name: match.live_name for name, match in matched.items()}
    with store.database.write() as session:
        batch = record_batch(
            session, request, source=SOURCE, actor=actor, is_trusted=options.trusted, class_map=class_map
        )
        return batch.id


def _base(file: LabelledFile) -> str:
    return PurePosixPath(file.name).name


def _detections(file: LabelledFile, matched: Mapping[str, Match]) -> list[dict[str, Any]]:
    """The boxes in an order of their own, so that it does not matter which tool has written them."""
    boxes = [
        (live_name, on_grid(box.xyxy))
        for box in file.boxes
        if (live_name := matched[box.class_name].live_name) is not None
    ]
    return [_detection(live_name, xyxy) for live_name, xyxy in sorted(boxes)]


def _detection(class_name: str, xyxy: Sequence[float]) -> dict[str, Any]:
    box = dict(zip(("x_min", "y_min", "x_max", "y_max"), xyxy, strict=True))
    return {"box": box, "class_name": class_name}


def _short(text: str) -> str | None:
    """The text as an id that may be posted: one that is too long keeps its beginning and its digest."""
    text = text.replace("\0", "").strip()
    if len(text) > _ID_CHARACTERS:
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        text = f"{text[: _ID_CHARACTERS - 17]}-{digest}"
    return text or None
