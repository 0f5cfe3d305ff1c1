"""Stored images as the browser gets them, and how classes look on them."""

from collections.abc import Sequence
from typing import Any

from streamlit import runtime

from core.feedback.samples import image_sha256
from core.schemas_review import BoxView
from core.store import Store
from pages._ui.box_editor import ClassLook

# Bright enough for the dark of a thermal image; neighbours also differ to colour-blind people.
_COLORS = (
    "#5AA9E6", "#F0A24B", "#3FBFAE", "#E47BB5", "#D7E04F", "#A896F0", "#F28B82", "#8FD17F", "#D9A789",
    "#B7C3CF",
)  # fmt: skip
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 2), (1.5, 1.5), (6, 1.5, 1.5, 1.5))
_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


def picture_of(store: Store, sample_id: str, *, is_thumbnail: bool) -> str:
    """The address at which the viewer's browser finds a sample's image, as long as the screen shows it.

    Streamlit's own media endpoint serves it, so that a screen drawn again does not send it again.

    Raises:
        NotFound: If there is no image.
        BlobDamaged: If it is missing or was altered, and BlobStoreUnavailable if the store does not answer.
    """
    content = content_of(store, sample_id, is_thumbnail=is_thumbnail)
    if not runtime.exists():
        return ""
    kind = next(kind for start, kind in _MEDIA_TYPES.items() if content.startswith(start))
    place = f"{sample_id}-{'thumbnail' if is_thumbnail else 'image'}"
    return runtime.get_instance().media_file_mgr.add(content, kind, place)


def content_of(store: Store, sample_id: str, *, is_thumbnail: bool) -> bytes:
    """A sample's image as it is stored; raises as `picture_of` does."""
    return store.blobs.get(image_sha256(store, sample_id, is_thumbnail=is_thumbnail))


def looks(class_names: Sequence[str]) -> list[ClassLook]:
    """How classes are drawn: a class keeps its colour on every screen."""
    return [ClassLook(name, color_of(class_id)) for class_id, name in enumerate(class_names)]


def color_of(class_id: int) -> str:
    """CSS colour of a class."""
    return _COLORS[class_id % len(_COLORS)]


def dashes_of(class_id: int) -> tuple[float, ...]:
    """Dash of a class on a tile, where there is no room for its name."""
    return _DASHES[class_id % len(_DASHES)]


class Classes:
    """Class names by id, of the live model and of boxes that it does not know."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def id_of(self, box: BoxView) -> int:
        """The id of a box's class; one that is unknown is added behind the others."""
        if box.class_id is None:
            name = box.class_name or "?"
            if name not in self.names:
                self.names.append(name)
            return self.names.index(name)
        while len(self.names) <= box.class_id:
            self.names.append(f"class {len(self.names)}")
        return box.class_id

    def drawn(self, boxes: Sequence[BoxView]) -> list[dict[str, Any]]:
        """Boxes as the editor takes them."""
        return [self._drawn(box) for box in boxes]

    def _drawn(self, box: BoxView) -> dict[str, Any]:
        more = {"origin": box.origin, "confidence": box.confidence}
        return {
            "xyxy": corners(box),
            "class_id": self.id_of(box),
            **{name: value for name, value in more.items() if value is not None},
        }


def corners(box: BoxView) -> list[float]:
    """`xyxy` in pixels."""
    return [box.box.x_min, box.box.y_min, box.box.x_max, box.box.y_max]
