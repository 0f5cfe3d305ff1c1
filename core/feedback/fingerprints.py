"""What an image looks like, in a few bytes: to know it again, and to know those that are nearly the same."""

import hashlib
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
import sqlalchemy as sa
from PIL import Image

from core.feedback.images import normalise
from core.feedback.reasons import Refusal
from core.store import Store
from core.store.tables import Fingerprint as FingerprintRow

NEAR_BITS = 4
"""Images are nearly the same if their hashes differ in at most so many of 64 bits (docs/feedback.md)."""
THUMBNAIL_PX = 320
_THUMBNAIL_QUALITY = 80
_THREADS = 2


@dataclass(frozen=True)
class Fingerprint:
    """An image's look.

    Attributes:
        pixel_sha256: Of the upright RGB pixels and the size, whatever file they came in.
        perceptual_hash: 64 bits that change little when the image does; 16 hex digits.
    """

    pixel_sha256: str
    perceptual_hash: str

    @property
    def bits(self) -> np.uint64:
        """The perceptual hash as a number."""
        return np.uint64(int(self.perceptual_hash, 16))


def take(upright: Image.Image) -> tuple[Fingerprint, bytes]:
    """The fingerprint of an upright 8-bit image, and its thumbnail as a JPEG file.

    The hash is the 64-bit DCT hash of http://hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html
    """
    rgb = upright if upright.mode == "RGB" else upright.convert("RGB")
    digest = hashlib.sha256(f"{rgb.width}x{rgb.height}:".encode())
    digest.update(rgb.tobytes())
    # By whole pixels first, which costs a fifth of a scaling from the full size.
    small = rgb.reduce(max(1, max(rgb.size) // THUMBNAIL_PX))
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
    return Fingerprint(digest.hexdigest(), str(imagehash.phash(small))), file.getvalue()


def of_files(store: Store, files: Mapping[str, Path]) -> list[Fingerprint]:
    """Fingerprints of files of the base set, each decoded only the first time that it is asked for.

    Args:
        store: Keeps them.
        files: By sha256 of their bytes.

    Returns:
        Those of every file that is an image.
    """
    known = _known(store)
    missing = {sha256: path for sha256, path in files.items() if sha256 not in known}
    with ThreadPoolExecutor(_THREADS) as pool:
        looks = pool.map(lambda path: _of_file(path, store.settings.image_max_pixels), missing.values())
        found = {sha256: look for sha256, look in zip(missing, looks, strict=True) if look}
    _keep(store, found)
    return [look for sha256, look in (known | found).items() if sha256 in files]


def _known(store: Store) -> dict[str, Fingerprint]:
    with store.database.read() as session:
        rows = session.scalars(sa.select(FingerprintRow))
        return {row.source_sha256: Fingerprint(row.pixel_sha256, row.perceptual_hash) for row in rows}


def _of_file(path: Path, max_pixels: int) -> Fingerprint | None:
    try:
        return take(normalise(path.read_bytes(), max_pixels).picture)[0]
    except Refusal:
        # A base image that feedback could never equal.
        return None


def _keep(store: Store, found: Mapping[str, Fingerprint]) -> None:
    if not found:
        return
    with store.database.write() as session:
        for sha256, look in found.items():
            session.merge(FingerprintRow(source_sha256=sha256, **look.__dict__))
