"""Labelled images as pictures for people: upright, and no larger than what is looked at."""

import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps

from core.dataset.images import LabelledImage
from core.store import Store

_JPEG_QUALITY = 80


def small_jpeg(store: Store, image: LabelledImage, side_px: int) -> bytes:
    """An image as a JPEG file.

    Args:
        store: Has feedback images; those of the base set are read where they lie.
        image: The image.
        side_px: Longest side that is wanted; a smaller image stays as it is.

    Raises:
        BlobDamaged: If it is nowhere, or was altered.
        BlobStoreUnavailable: If the blob store does not answer.
        OSError: If it cannot be read as an image.
    """
    with warnings.catch_warnings(), Image.open(_file_of(store, image)) as opened:
        # What lies here was taken in or is the operator's own.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        small = ImageOps.exif_transpose(opened).convert("RGB")
    small.thumbnail((side_px, side_px))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _file_of(store: Store, image: LabelledImage) -> Path:
    return image.path if image.path.is_file() else store.blobs.local_path(image.sha256)
