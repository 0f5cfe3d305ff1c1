"""Looks at posted samples, several at a time: fetch, decode, store the image, check the boxes.

Writes to no table, so that what comes of it can be written in the order of the batch.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from threading import BoundedSemaphore
from typing import Any, TypeVar

from core.feedback import boxes, fingerprints, uploads
from core.feedback.boxes import Fault, StoredDetection
from core.feedback.download import Downloader
from core.feedback.fingerprints import Fingerprint
from core.feedback.images import CelsiusWindow, UprightImage, normalise
from core.feedback.lookalikes import Judges
from core.feedback.quarantine import Repairs
from core.feedback.reasons import Policy, Refusal
from core.schemas import Detection
from core.store import Store
from core.store.tables import Sample

Item = TypeVar("Item")
Result = TypeVar("Result")

# A decoded image takes up to 150 MB at the default pixel limit, its conversion as much again.
_DECODERS = 2
# How far fetching may run ahead of a slow image, in multiples of the threads.
_AHEAD = 4
# What is written together costs a transaction once; nobody minds when it is told so much later.
_MOST_TOGETHER = 64
_GATHER_S = 0.2


@dataclass
class Findings:
    """What is known of a sample after it was looked at.

    `refusal` says why it cannot be used; `warnings` what was found that does not keep it out.
    """

    source_sha256: str | None = None
    blob_sha256: str | None = None
    thumbnail_sha256: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    window: dict[str, Any] | None = None
    look: Fingerprint | None = None
    detections: list[StoredDetection] = field(default_factory=list)
    refusal: Refusal | None = None
    warnings: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True)
class Rules:
    """What every sample of a batch is held against.

    Attributes:
        class_names: The live model's class map; ids are positions.
        judges: The base images that judge the model.
        policies: What is done about each finding.
        repairs: What people did about samples, by sample id.
    """

    class_names: Sequence[str]
    judges: Judges
    policies: Mapping[str, Policy]
    repairs: Mapping[str, Repairs]

    def settle(self, findings: Findings, found: Refusal, repairs: Repairs) -> None:
        """Do about a finding what its policy says, or what a person said.

        Raises:
            Refusal: If the image is to be put aside for it.
        """
        policy = "warn" if repairs.allow(found.code) else self.policies[found.code]
        if policy == "quarantine":
            raise found
        if policy == "warn":
            findings.warnings.append(found)


class Examiner:
    """Looks at the samples of one batch; may be shared by threads."""

    def __init__(self, store: Store, downloader: Downloader, rules: Rules) -> None:
        """Take where images come from, and what they are held against."""
        self._store, self._downloader, self._rules = store, downloader, rules
        self._window = CelsiusWindow.of(store.settings)
        self._decoders = BoundedSemaphore(_DECODERS)

    def examine_all(self, samples: Iterable[Sample]) -> Generator[list[tuple[Sample, Findings]]]:
        """Samples with their findings in the given order, as many together as are ready.

        They are fetched `TMS_FETCH_CONCURRENCY` at a time.
        """
        threads = self._store.settings.fetch_concurrency
        return _map_in_order(lambda sample: (sample, self.examine(sample)), samples, threads)

    def examine(self, sample: Sample) -> Findings:
        """The findings of one sample; whatever is wrong with it is in them."""
        findings = Findings()
        try:
            self._fill(findings, sample, self._rules.repairs.get(sample.id, Repairs()))
        except Refusal as refusal:
            findings.refusal = refusal
        return findings

    def _fill(self, findings: Findings, sample: Sample, repairs: Repairs) -> None:
        posted = repairs.renamed([Detection.model_validate(detection) for detection in sample.posted])
        content = self._content(sample, repairs)
        findings.source_sha256 = repairs.stored.get("source_sha256") or hashlib.sha256(content).hexdigest()
        if self._rules.judges.include_file(findings.source_sha256):
            raise Refusal("leak_validation", "The same file is among the images that the model is judged on.")
        image = self._keep(findings, content)
        findings.window = image.window or repairs.stored.get("window")
        self._check_leak(findings)
        held_against = self._rules.class_names, image.width_px, image.height_px
        self._check_boxes(findings, boxes.faults(posted, *held_against), repairs)
        findings.detections = boxes.clip(posted, *held_against)
        if posted and not findings.detections:
            # Learned from, it would say that nothing is to be found there.
            self._rules.settle(
                findings, Refusal("box_none_left", "None of its boxes lies in the image."), repairs
            )

    def _check_boxes(self, findings: Findings, faults: Sequence[tuple[int, Fault]], repairs: Repairs) -> None:
        """Tell all faults together, under the code of the first that keeps the image out."""
        codes = dict.fromkeys(fault.code for _, fault in faults)
        is_kept_out = {code: self._keeps_out(code, repairs) for code in codes}
        for code in sorted(codes, key=lambda code: not is_kept_out[code]):
            told = faults if is_kept_out[code] else [one for one in faults if one[1].code == code]
            self._rules.settle(findings, Refusal(code, boxes.told(told)), repairs)

    def _keeps_out(self, code: str, repairs: Repairs) -> bool:
        return not repairs.allow(code) and self._rules.policies[code] == "quarantine"

    def _content(self, sample: Sample, repairs: Repairs) -> bytes:
        if repairs.stored:
            return self._store.blobs.get(repairs.stored["blob_sha256"])
        return uploads.fetch(self._store, self._downloader, sample.image_url)

    def _keep(self, findings: Findings, content: bytes) -> UprightImage:
        with self._decoders:
            image = normalise(content, self._store.settings.image_max_pixels, self._window)
            findings.look, thumbnail = fingerprints.take(image.picture)
        findings.width_px, findings.height_px = image.width_px, image.height_px
        findings.blob_sha256 = self._store.blobs.put(image.content)
        findings.thumbnail_sha256 = self._store.blobs.put(thumbnail, "a thumbnail")
        return image

    def _check_leak(self, findings: Findings) -> None:
        judges, look = self._rules.judges, findings.look
        if look and judges.include(look):
            raise Refusal("leak_validation", "The same image is among those that the model is judged on.")
        if look and judges.resemble(look):
            raise Refusal(
                "leak_validation", "The image is nearly the same as one that the model is judged on."
            )


def _map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Generator[list[Result]]:
    """Like `Executor.map`, in lists of what is ready, but starts only so many items ahead.

    None is started any more once it is closed.
    """
    ahead: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="fetch") as pool:
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) == threads * _AHEAD:
                    yield _ready(ahead)
            while ahead:
                yield _ready(ahead)
        finally:
            for future in ahead:
                future.cancel()


def _ready(ahead: deque[Future[Result]]) -> list[Result]:
    """The first result, waited for, and those behind it that come soon after."""
    results = [ahead.popleft().result()]
    wait(list(islice(ahead, _MOST_TOGETHER - 1)), timeout=_GATHER_S)
    while ahead and ahead[0].done() and len(results) < _MOST_TOGETHER:
        results.append(ahead.popleft().result())
    return results
