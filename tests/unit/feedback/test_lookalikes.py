"""Images that are known again, nearly the same ones among them, and the side they end on."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from core.feedback import fingerprints
from core.feedback.examine import Findings, Rules
from core.feedback.fingerprints import NEAR_BITS, Fingerprint
from core.feedback.holdout import HOLDOUT_STARTS_AT
from core.feedback.lookalikes import Judges, Lookalikes
from core.feedback.policy import policies
from core.feedback.settle import Settler
from core.store import Store
from core.store.ids import new_id
from core.store.tables import Batch, Sample
from core.store.tables import Fingerprint as FingerprintRow
from tests.factories import encode, make_settings, thermal_file, thermal_pixels

PICTURE = Image.fromarray(thermal_pixels(5, 640, 480))


def bits_apart(one: Image.Image, other: Image.Image) -> int:
    looks = [fingerprints.take(picture)[0].bits for picture in (one, other)]
    return int(np.bitwise_count(looks[0] ^ looks[1]))


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: Image.open(io.BytesIO(encode(picture, "JPEG", quality=30))),
        lambda picture: picture.resize((320, 240)),
        lambda picture: picture.resize((1280, 960)),
        lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    ],
    ids=["encoded anew", "smaller", "larger", "brighter"],
)
def test_the_same_scene_is_near(change: Any) -> None:
    assert bits_apart(PICTURE, change(PICTURE)) <= NEAR_BITS
    assert bits_apart(PICTURE, Image.fromarray(thermal_pixels(6, 640, 480))) > NEAR_BITS


def test_pixels_are_known_in_any_file_and_only_at_their_size() -> None:
    look = fingerprints.take(PICTURE)[0]
    again = [Image.open(io.BytesIO(encode(PICTURE, file_format))) for file_format in ("PNG", "BMP", "TIFF")]
    assert {fingerprints.take(picture)[0] for picture in again} == {look}
    flat = [Image.new("RGB", size) for size in ((20, 30), (30, 20))]
    assert len({fingerprints.take(picture)[0].pixel_sha256 for picture in flat}) == 2


def test_a_thumbnail_is_small_and_keeps_the_shape() -> None:
    thumbnail = Image.open(io.BytesIO(fingerprints.take(PICTURE)[1]))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (320, 240))


def test_files_of_the_base_set_are_decoded_once(store: Store, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(thermal_file(1))
    bad.write_bytes(b"no image")
    (look,) = fingerprints.of_files(store, {"g": good, "b": bad})
    good.unlink()
    assert fingerprints.of_files(store, {"g": good}) == [look]
    with store.database.read() as session:
        assert [row.source_sha256 for row in session.scalars(sa.select(FingerprintRow))] == ["g"]


def look(bits: int) -> Fingerprint:
    return Fingerprint(pixel_sha256=f"pixels-{bits}", perceptual_hash=f"{bits:016x}")


def test_judges_know_a_file_its_pixels_and_what_is_near() -> None:
    judges = Judges(["file"], [look(0b1111)])
    assert judges.include_file("file")
    assert judges.include(look(0b1111))
    assert judges.resemble(look(0b1111 << 4 | 0b1111))
    assert not judges.resemble(look(0b11111 << 4 | 0b1111))
    assert not Judges([], []).resemble(look(0))


class Intake:
    """Settles samples by their group and their hash, without images."""

    def __init__(self, store: Store, share: float = 0.5) -> None:
        self.store, self.share = store, share
        self.rules = Rules(("hot joint",), Judges([], []), policies(store.settings), {})

    def take(self, *arrivals: tuple[str | None, int]) -> list[Sample]:
        """Take a batch in; gives its samples as they ended."""
        with self.store.database.write() as session:
            batch = Batch(id=new_id("batch"), source="api", actor="a")
            session.add(batch)
            session.flush()
            samples = [
                Sample(
                    id=new_id("sample"), batch_id=batch.id, position=position, image_url="https://h.example/a.png",
                    group=group, posted=[], status="pending",
                )
                for position, (group, _) in enumerate(arrivals)
            ]  # fmt: skip
            session.add_all(samples)
            session.flush()
            found = [Findings(look=look(bits), blob_sha256=f"b{bits}") for _, bits in arrivals]
            Settler(self.share, self.rules).settle(session, zip(samples, found, strict=True))
        return samples

    def open_holdout(self) -> None:
        """Take in what it takes for the holdout to begin, far from everything that tests use."""
        self.take(
            *((f"filler{number}", (number + 1) * 0x0101010101 << 20) for number in range(HOLDOUT_STARTS_AT))
        )


def far(number: int) -> int:
    """Hashes that are far from each other."""
    return int(np.random.default_rng(number).integers(0, 2**63))


def test_what_is_nearly_the_same_makes_a_cluster(any_store: Store) -> None:
    intake = Intake(any_store)
    first, near, other = intake.take((None, far(1)), (None, far(1) ^ 0b11), (None, far(2)))
    assert first.cluster == near.cluster == first.pixel_sha256 != other.cluster
    assert [one["code"] for one in near.warnings] == ["duplicate_near"]
    assert first.warnings == other.warnings == []
    (later,) = intake.take((None, far(1) ^ 0b1))
    assert later.cluster == first.cluster


def test_a_lookalike_of_what_judges_is_not_learned_from(any_store: Store) -> None:
    intake = Intake(any_store, share=0.99)
    intake.open_holdout()
    (judge,) = intake.take((None, far(1)))
    assert judge.is_holdout
    same, near = intake.take(("T1", far(1)), ("T2", far(1) ^ 0b1))
    assert [(one.status, one.reason_code) for one in (same, near)] == [("quarantined", "leak_validation")] * 2


def test_a_lookalike_of_what_was_learned_does_not_judge(any_store: Store) -> None:
    intake = Intake(any_store, share=0.99)
    intake.take((None, far(1)))
    intake.open_holdout()
    (near,) = intake.take((None, far(1) ^ 0b1))
    assert (near.status, near.is_holdout) == ("approved", False)


def test_what_belongs_to_both_sides_is_put_aside(any_store: Store) -> None:
    intake = Intake(any_store, share=0.99)
    intake.take(("T1", far(1)))
    intake.open_holdout()
    judge, both = intake.take(("T2", far(2)), ("T1", far(2) ^ 0b1))
    assert judge.is_holdout
    assert (both.status, both.reason_code) == ("quarantined", "leak_validation")


ARRIVALS = st.lists(
    st.lists(
        st.tuples(
            st.none() | st.sampled_from(["T1", "T2", "T3", "T4"]), st.integers(0, 5), st.integers(0, 7)
        ),
        min_size=1,
        max_size=4,
    ),
    max_size=5,
)


@given(ARRIVALS)
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_no_group_and_no_cluster_is_ever_on_two_sides(
    arrivals: list[list[tuple[str | None, int, int]]],
) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder, Store.open(make_settings(Path(folder))) as store:
        intake = Intake(store, share=0.5)
        intake.open_holdout()
        for batch in arrivals:
            intake.take(*((group, far(scene) ^ (1 << change)) for group, scene, change in batch))
        with store.database.read() as session:
            taken = list(session.scalars(sa.select(Sample).where(Sample.intake_number.is_not(None))))
    for one in taken:
        for other in taken:
            distance = int(
                np.bitwise_count(np.uint64(int(one.perceptual_hash, 16) ^ int(other.perceptual_hash, 16)))
            )
            if distance <= NEAR_BITS or (one.group and one.group == other.group):
                assert one.is_holdout == other.is_holdout
    assert sorted(one.intake_number for one in taken) == list(range(1, len(taken) + 1))


def test_two_processes_agree(any_store: Store) -> None:
    intakes = [Intake(any_store), Intake(any_store)]
    clusters = [intake.take((None, far(1) ^ number))[0].cluster for number, intake in enumerate(intakes)]
    assert clusters[0] == clusters[1]


def test_many_hashes_are_kept(store: Store) -> None:
    lookalikes = Lookalikes()
    for number in range(3_000):
        sample = Sample(
            id=f"s{number}", batch_id="b", position=number, cluster="c", is_holdout=False,
            perceptual_hash=f"{far(number):016x}",
        )  # fmt: skip
        lookalikes.add(sample)
    assert [one.id for one in lookalikes.near(look(far(2_999)))] == ["s2999"]
