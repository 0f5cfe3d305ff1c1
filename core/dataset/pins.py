"""Images that somebody pinned to replay, because he saw that they are being forgotten."""

import re

import sqlalchemy as sa

from core.errors import ImageJudges, NotFound
from core.store import Store
from core.store.tables import JudgedImage, PinnedImage

_SHA256 = re.compile(r"[0-9a-f]{64}")


def pin(store: Store, sha256: str, *, actor: str, reason: str | None = None) -> PinnedImage:
    """Have every later run replay an image; pinning it again changes nothing.

    It takes effect for images of the replay pool: the base set's train split, and feedback that champions
    learned from.

    Args:
        store: Where the pin is kept.
        sha256: Of the image's bytes, in hex.
        actor: Who pins it.
        reason: Why.

    Raises:
        NotFound: If that is no sha256.
        ImageJudges: If the image judges, or ever did: what judges is never learned from.
    """
    if not _SHA256.fullmatch(sha256):
        raise NotFound(f"'{sha256}' names no image. Give the sha256 of its bytes, 64 hex digits.")
    with store.database.write() as session:
        judged = session.get(JudgedImage, sha256)
        if judged is not None:
            raise ImageJudges(
                f"This image is in the {judged.set_name} set, which judges, and may not be learned from. "
                "Pin training images that show the same, or post such images as feedback.",
                set_name=judged.set_name,
            )
        known = session.get(PinnedImage, sha256)
        if known is None:
            known = PinnedImage(sha256=sha256, actor=actor, reason=reason)
            session.add(known)
    return known


def unpin(store: Store, sha256: str) -> None:
    """Take a pin back, if there is one."""
    with store.database.write() as session:
        session.execute(sa.delete(PinnedImage).where(PinnedImage.sha256 == sha256))


def pins(store: Store) -> list[PinnedImage]:
    """All pins, newest first."""
    query = sa.select(PinnedImage).order_by(PinnedImage.created_at.desc(), PinnedImage.sha256)
    with store.database.read() as session:
        return list(session.scalars(query))
