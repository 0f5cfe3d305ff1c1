"""Looks at posted samples, several at a time: fetch, decode, store the image, check the boxes.

Touches no table, so that what comes of it can be written in the order of the batch.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import TypeVar

from core.feedback.boxes import StoredDetection, check_unseen, fit
from core.feedback.download import Downloader
from core.feedback.images import UprightImage, normalise
from core.feedback.reasons import Refusal
from core.schemas import Detection
from core.store import Store
from core.store.tables import Sample

Item = TypeVar("Item")
Result = TypeVar("Result")

# A decoded image takes up to 150 MB at the default pixel limit, its conversion as much again.
_DECODERS = 2
# How far fetching may run ahead of a slow image, in multiples of the threads.
_AHEAD = 4


@dataclass
class Findings:
    """What is known of a sample after it was looked at; `refusal` says why it cannot be used."""

    source_sha256: str | None = None
    blob_sha256: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    detections: list[StoredDetection] = field(default_factory=list)
    refusal: Refusal | None = None


class Examiner:
    """Looks at the samples of one batch; may be shared by threads."""

    def __init__(
        self, store: Store, downloader: Downloader, class_names: Sequence[str], judged_sha256: Collection[str]
    ) -> None:
        """Take the class map of the live model, and the digests of the images that judge it."""
        self._store, self._downloader = store, downloader
        self._class_names, self._judged_sha256 = class_names, frozenset(judged_sha256)
        self._decoders = BoundedSemaphore(_DECODERS)

    def examine_all(self, samples: Iterable[Sample]) -> Generator[tuple[Sample, Findings]]:
        """Each sample with its findings, in the given order, fetched `TMS_FETCH_CONCURRENCY` at a time."""
        threads = self._store.settings.fetch_concurrency
        return _map_in_order(lambda sample: (sample, self.examine(sample)), samples, threads)

    def examine(self, sample: Sample) -> Findings:
        """The findings of one sample; whatever is wrong with it is in them."""
        findings = Findings()
        try:
            self._fill(findings, sample)
        except Refusal as refusal:
            findings.refusal = refusal
        return findings

    def _fill(self, findings: Findings, sample: Sample) -> None:
        posted = [Detection.model_validate(detection) for detection in sample.posted]
        check_unseen(posted, self._class_names)
        content = self._downloader.fetch(sample.image_url)
        findings.source_sha256 = hashlib.sha256(content).hexdigest()
        if findings.source_sha256 in self._judged_sha256:
            raise Refusal("leak_validation", "The same file is among the images that the model is judged on.")
        image = self._normalise(content)
        findings.width_px, findings.height_px = image.width_px, image.height_px
        findings.blob_sha256 = self._store.blobs.put(image.content)
        findings.detections = fit(posted, self._class_names, image.width_px, image.height_px)

    def _normalise(self, content: bytes) -> UprightImage:
        with self._decoders:
            return normalise(content, self._store.settings.image_max_pixels)


def _map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Generator[Result]:
    """Like `Executor.map`, but starts only so many items ahead, and none any more once it is closed."""
    ahead: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="fetch") as pool:
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) == threads * _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
