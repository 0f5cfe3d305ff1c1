"""Labelled images in and out, by the class names of the live model."""

from collections.abc import Iterable
from dataclasses import replace
from typing import IO

from core.errors import BaselineMissing, InvalidRequest
from core.feedback.exports import Export, ExportFormat, Selection, export
from core.feedback.imports.importing import import_files
from core.feedback.imports.inspection import ImportReport, Progress
from core.jobs import bell, service
from core.registry import publish
from core.schemas import ImportOptions
from core.store import Store


def class_names(store: Store) -> list[str]:
    """The class map of the live model; ids are positions.

    Raises:
        BaselineMissing: If nothing is live yet.
    """
    champion = publish.champion(store)
    if champion is None:
        raise BaselineMissing(
            "Nothing is live yet, so there are no classes. `python -m core prepare` adopts the baseline."
        )
    return list(champion.class_names)


def import_batch(
    store: Store,
    sources: Iterable[tuple[str, IO[bytes]]],
    options: ImportOptions,
    *,
    actor: str,
    on_progress: Progress,
) -> ImportReport:
    """Take labelled images in as one feedback batch, and have a worker look at it.

    Args:
        store: Where it goes.
        sources: File name and content of each file: a zip, or images and labels.
        options: How.
        actor: Who imports.
        on_progress: See `Progress`.

    Raises:
        BaselineMissing: If nothing is live yet; otherwise as `import_files`.
    """
    names = class_names(store)
    report = import_files(store, sources, options, class_names=names, actor=actor, on_progress=on_progress)
    if report.batch_id is not None:
        bell.ring(store.settings)
        service.ensure_worker(store)
    return report


def export_samples(
    store: Store,
    selection: Selection,
    format_name: ExportFormat,
    *,
    class_name: str | None = None,
    with_images: bool = True,
) -> Export:
    """Give samples out with their newest boxes.

    Args:
        store: Where they are.
        selection: Which.
        format_name: See `export`.
        class_name: Only samples with a box of this class.
        with_images: See `export`.

    Raises:
        BaselineMissing: If nothing is live yet.
        InvalidRequest: If the live model has no such class; otherwise as `export`.
    """
    names = class_names(store)
    if class_name is not None:
        if class_name not in names:
            raise InvalidRequest(f"The live model has no class {class_name}. It has {', '.join(names)}.")
        selection = replace(selection, class_id=names.index(class_name))
    return export(store, selection, format_name, names, with_images=with_images)
