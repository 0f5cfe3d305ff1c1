"""Which samples look nearly alike, over all batches, and who judges: one place that all of intake asks."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from core.feedback.fingerprints import NEAR_BITS, Fingerprint
from core.store.tables import Sample

_FIRST_ROOM = 1_024
_FACTS = ("id", "batch_id", "position", "cluster", "is_holdout")


@dataclass(frozen=True)
class Lookalike:
    """A sample that was taken in before and looks nearly the same."""

    id: str
    batch_id: str
    position: int
    cluster: str
    is_holdout: bool


class Lookalikes:
    """Perceptual hashes of all samples that were taken in; 100,000 are compared in a millisecond.

    Ask it within the transaction that settles samples, after `refresh`: then two processes that take images
    in at the same time agree.
    """

    def __init__(self) -> None:
        """Begin empty; the first `refresh` reads everything."""
        self._bits: NDArray[np.uint64] = np.empty(_FIRST_ROOM, np.uint64)
        self._samples: list[Lookalike] = []
        self.newest_number = 0

    def refresh(self, session: Session) -> None:
        """Add what was taken in since the last time, by whichever process."""
        query = (
            sa.select(
                Sample.intake_number, Sample.perceptual_hash, *(getattr(Sample, name) for name in _FACTS)
            )
            .where(Sample.intake_number > self.newest_number)
            .order_by(Sample.intake_number)
        )
        for number, perceptual_hash, *facts in session.execute(query):
            self.newest_number = number
            # Samples of before there were fingerprints have none.
            if perceptual_hash:
                self._append(np.uint64(int(perceptual_hash, 16)), Lookalike(*facts))

    def add(self, sample: Sample) -> None:
        """Give a sample that is taken in the next number, and know it from now on."""
        self.newest_number += 1
        sample.intake_number = self.newest_number
        facts = (getattr(sample, name) for name in _FACTS)
        self._append(np.uint64(int(sample.perceptual_hash or "0", 16)), Lookalike(*facts))

    def near(self, look: Fingerprint) -> list[Lookalike]:
        """Samples that look nearly the same, nearest first."""
        distances = np.bitwise_count(self._bits[: len(self._samples)] ^ look.bits)
        found = np.flatnonzero(distances <= NEAR_BITS)
        return [self._samples[index] for index in found[np.argsort(distances[found], kind="stable")]]

    def _append(self, bits: np.uint64, sample: Lookalike) -> None:
        if len(self._samples) == len(self._bits):
            self._bits = np.concatenate([self._bits, np.empty_like(self._bits)])
        self._bits[len(self._samples)] = bits
        self._samples.append(sample)


class Judges:
    """The base images that judge the model: what is one of them, or nearly so, may not be learned from."""

    def __init__(self, source_sha256: Iterable[str], looks: Iterable[Fingerprint]) -> None:
        """Take the sha256 of their files, and their fingerprints."""
        looks = list(looks)
        self._source_sha256 = frozenset(source_sha256)
        self._pixel_sha256 = frozenset(look.pixel_sha256 for look in looks)
        self._bits = np.array([look.bits for look in looks], np.uint64)

    def include_file(self, source_sha256: str) -> bool:
        """Whether a file of this sha256 is one of them."""
        return source_sha256 in self._source_sha256

    def include(self, look: Fingerprint) -> bool:
        """Whether an image is one of them."""
        return look.pixel_sha256 in self._pixel_sha256

    def resemble(self, look: Fingerprint) -> bool:
        """Whether an image is nearly one of them."""
        return bool((np.bitwise_count(self._bits ^ look.bits) <= NEAR_BITS).any())
