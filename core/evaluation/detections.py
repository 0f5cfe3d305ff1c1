"""What a checkpoint saw in a frozen set of images, and what there is to see, as columns."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from core.dataset.images import ImageSet
from core.errors import BlobDamaged

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_SET_KEY = b"tms.set_digest"
_COUNT_KEY = b"tms.image_count"


@dataclass(frozen=True)
class Truth:
    """The labels of a set: what there is to see.

    Attributes:
        set_name: Such as `test`.
        set_digest: Digest of the set.
        sha256: Of each image's bytes, `images` of them.
        sizes_px: Width and height of each upright image, shape `(images, 2)`.
        groups: For each image, the number of its group; images of one group are not independent.
        image: Position of each box's image in the set, shape `(boxes,)`.
        xyxy: Corners in pixels of the upright image, shape `(boxes, 4)`.
        class_id: Shape `(boxes,)`.
    """

    set_name: str
    set_digest: str
    sha256: tuple[str, ...]
    sizes_px: IntArray
    groups: IntArray
    image: IntArray
    xyxy: FloatArray
    class_id: IntArray

    @property
    def image_count(self) -> int:
        """Images of the set, those without a box included."""
        return len(self.sizes_px)

    @property
    def group_count(self) -> int:
        """Independent groups of images."""
        return len(np.unique(self.groups))

    @classmethod
    def of(cls, images: ImageSet) -> Self:
        """The labels of a set, its images in their order; an image without a group is one of its own."""
        names = [image.group or image.sha256 for image in images.images]
        labels = [
            (position, label.class_id, label.xyxy_in(image.width_px, image.height_px))
            for position, image in enumerate(images.images)
            for label in image.labels
        ]
        return cls(
            set_name=images.name,
            set_digest=images.digest,
            sha256=tuple(image.sha256 for image in images.images),
            sizes_px=np.array([(i.width_px, i.height_px) for i in images.images], np.int64).reshape(-1, 2),
            groups=np.unique(names, return_inverse=True)[1].astype(np.int64),
            image=np.array([position for position, _, _ in labels], np.int64),
            xyxy=np.array([xyxy for _, _, xyxy in labels], np.float64).reshape(-1, 4),
            class_id=np.array([class_id for _, class_id, _ in labels], np.int64),
        )


@dataclass(frozen=True)
class Detections:
    """Raw detections of one checkpoint on one set, from which every figure can be made again.

    Attributes:
        set_digest: Digest of the set.
        image_count: Images of the set, those without a detection included.
        image: Position of each detection's image in the set, rising, shape `(detections,)`.
        xyxy: Corners in pixels of the upright image, shape `(detections, 4)`.
        class_id: Shape `(detections,)`.
        confidence: From 0 to 1, shape `(detections,)`.
    """

    set_digest: str
    image_count: int
    image: IntArray
    xyxy: FloatArray
    class_id: IntArray
    confidence: FloatArray

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def of(cls, set_digest: str, per_image: Sequence[Iterable[Sequence[float]]]) -> Self:
        """From rows `(x_min, y_min, x_max, y_max, confidence, class_id)`, one list an image."""
        rows = np.array([row for found in per_image for row in found], np.float64).reshape(-1, 6)
        return cls(
            set_digest=set_digest,
            image_count=len(per_image),
            image=np.repeat(np.arange(len(per_image)), [len(list(found)) for found in per_image]),
            # As a file keeps them, so that figures made again are the same to the last digit.
            xyxy=rows[:, :4].astype(np.float32).astype(np.float64),
            class_id=rows[:, 5].astype(np.int64),
            confidence=rows[:, 4].astype(np.float32).astype(np.float64),
        )

    def where(self, chosen: NDArray[np.bool_]) -> "Detections":
        """Those for which `chosen`, shape `(detections,)`, is true."""
        return Detections(
            self.set_digest,
            self.image_count,
            self.image[chosen],
            self.xyxy[chosen],
            self.class_id[chosen],
            self.confidence[chosen],
        )

    def to_parquet(self) -> bytes:
        """As a Parquet file: image, corners in pixels, class_id and confidence of each detection."""
        import pyarrow as pa
        from pyarrow import parquet

        columns: dict[str, Any] = {"image": self.image.astype(np.int32)}
        columns |= {name: self.xyxy[:, i].astype(np.float32) for i, name in enumerate(_CORNERS)}
        columns["class_id"] = self.class_id.astype(np.int16)
        columns["confidence"] = self.confidence.astype(np.float32)
        facts = {_SET_KEY: self.set_digest.encode(), _COUNT_KEY: json.dumps(self.image_count).encode()}
        file = io.BytesIO()
        parquet.write_table(pa.table(columns).replace_schema_metadata(facts), file, compression="zstd")
        return file.getvalue()

    @classmethod
    def from_parquet(cls, content: bytes) -> Self:
        """Read what `to_parquet` wrote.

        Raises:
            BlobDamaged: If it is something else.
        """
        import pyarrow as pa
        from pyarrow import parquet

        try:
            table = parquet.read_table(io.BytesIO(content))
            facts = table.schema.metadata
            columns = {name: table[name].to_numpy() for name in table.column_names}
            return cls(
                set_digest=facts[_SET_KEY].decode(),
                image_count=json.loads(facts[_COUNT_KEY]),
                image=columns["image"].astype(np.int64),
                xyxy=np.stack([columns[name] for name in _CORNERS], axis=1).astype(np.float64),
                class_id=columns["class_id"].astype(np.int64),
                confidence=columns["confidence"].astype(np.float64),
            )
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise BlobDamaged(
                f"The detections of an evaluation cannot be read: {error}. Score the checkpoint again."
            ) from error
