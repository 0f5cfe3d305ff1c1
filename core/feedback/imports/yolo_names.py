"""Which class a number in a YOLO label stands for: `data.yaml`, `classes.txt` or `obj.names`."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from core.feedback.imports.archive import Archive
from core.feedback.imports.names import folder_of
from core.feedback.imports.reading import Reading
from core.feedback.imports.records import Unreadable

NamesById = Mapping[int, str]

_FILES = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")
# An alias in YAML costs nothing to write, so the text is kept short.
_MAX_YAML_CHARACTERS = 256 * 1024


def names_classes(file: str) -> bool:
    """Whether the file is one that names classes."""
    return PurePosixPath(file).name.lower() in _FILES


class ClassNames:
    """The class names that hold for a label file: those of the nearest folder above it that names classes."""

    def __init__(self, reading: Reading) -> None:
        """Read every file of the archive that names classes.

        Raises:
            Unreadable: If one of them cannot be read.
        """
        self._by_folder: dict[str, NamesById] = {}
        for name in sorted(filter(names_classes, reading.archive.others), key=_rank):
            named = _read_names(reading.archive, name)
            if named:
                reading.use(name)
                self._by_folder.setdefault(folder_of(name), named)

    def of(self, label: str) -> NamesById | None:
        """The names by id; None if nothing says which they are."""
        folder = label
        while folder:
            folder = folder_of(folder)
            if folder in self._by_folder:
                return self._by_folder[folder]
        return next(iter(self._by_folder.values())) if len(self._by_folder) == 1 else None


def _rank(name: str) -> int:
    return _FILES.index(PurePosixPath(name).name.lower())


def _read_names(archive: Archive, name: str) -> NamesById:
    text = archive.read_text(name)
    if not name.lower().endswith((".yaml", ".yml")):
        return {
            class_id: line.strip() for class_id, line in enumerate(text.strip().splitlines()) if line.strip()
        }
    try:
        return _names_in(_parsed_yaml(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unreadable(name, f"Its class names cannot be read: {error}.", "Correct `names`.") from error


def _parsed_yaml(text: str) -> Any:
    if len(text) > _MAX_YAML_CHARACTERS:
        raise ValueError("the file is too long")
    # The base loader knows no types and no merging: a class called `on` or `1e3` keeps its name.
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506


def _names_in(config: Any) -> NamesById:
    names = config.get("names") if isinstance(config, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if names is None:
        return {}
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ValueError("`names` is neither a list nor a mapping of ids to names")
    return {int(class_id): name for class_id, name in names.items()}
