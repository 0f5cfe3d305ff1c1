"""Image files from callers without a web host: they are kept, and `blob:<sha256>` is their address."""

from contextlib import suppress

from sqlalchemy.exc import IntegrityError

from core.config import MIB
from core.errors import BlobDamaged, PayloadTooLarge
from core.feedback.download import Downloader
from core.feedback.reasons import Refusal
from core.store import Store
from core.store.tables import Upload

SCHEME = "blob:"


def keep(store: Store, content: bytes, actor: str) -> str:
    """Store an image file as it is, and return its address; the same file again has the same one.

    Args:
        store: Where it goes.
        content: The file. Whether it can be used is looked at in intake, as with every image.
        actor: Who hands it in.

    Raises:
        PayloadTooLarge: If it is larger than a download may be.
        DiskFull: If there is no space, and BlobStoreUnavailable if the blob store does not answer.
    """
    _check_size(store, len(content))
    sha256 = store.blobs.put(content)
    upload = Upload(sha256=sha256, size_bytes=len(content), actor=actor)
    # It may have been handed in before, or by somebody else in this moment.
    with suppress(IntegrityError), store.database.write() as session:
        session.add(upload)
    return SCHEME + sha256


def _check_size(store: Store, size_bytes: int) -> None:
    max_bytes = store.settings.image_max_bytes
    if size_bytes > max_bytes:
        raise PayloadTooLarge(
            f"The image file has {size_bytes / MIB:.1f} MiB; at most {max_bytes / MIB:.1f} MiB are taken. "
            "Make it smaller, or have the operator raise TMS_IMAGE_MAX_BYTES."
        )


def fetch(store: Store, downloader: Downloader, address: str) -> bytes:
    """The bytes at the address of a sample: an upload's, or else an image server's.

    Raises:
        Refusal: One of the `fetch_` codes. The blob store holds more than uploads; nothing else is given out.
        BlobStoreUnavailable: If the blob store does not answer.
    """
    if not address.startswith(SCHEME):
        return downloader.fetch(address)
    sha256 = address.removeprefix(SCHEME)
    with store.database.read() as session:
        if session.get(Upload, sha256) is None:
            raise Refusal("fetch_unknown_upload", f"No file was uploaded under {address}.")
    try:
        return store.blobs.get(sha256)
    except BlobDamaged:
        detail = f"What was uploaded under {address} is missing in the blob store, or was altered there."
        raise Refusal("fetch_unknown_upload", detail) from None
