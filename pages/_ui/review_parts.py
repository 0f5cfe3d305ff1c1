"""The three parts of the Review screen: images, quarantine, import."""

from core.store import Store
from pages._ui import parts, review_bulk, review_gallery, review_import, review_quarantine
from pages._ui.champion import class_names

_PARTS = {"images": "Images", "quarantine": "Quarantine", "import": "Import"}


def draw(store: Store) -> None:
    """The choice of a part, and the part."""
    part = parts.choose("review_part", _PARTS)
    if part == "quarantine":
        review_quarantine.draw(store, class_names(store))
    elif part == "import":
        review_import.draw(store, class_names(store))
    else:
        review_bulk.tell()
        review_gallery.draw(store, class_names(store))
