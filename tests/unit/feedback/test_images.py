"""Files from strangers: what is shown upright, what is refused, and with which code."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from core.dataset.images import Label, LabelledImage
from core.dataset.yolo import label_text
from core.feedback.boxes import fit
from core.feedback.images import CelsiusWindow, UprightImage, normalise
from core.feedback.reasons import Refusal
from core.schemas import Detection
from tests.factories import CLASS_NAMES, detection, encode, thermal_file, thermal_pixels
from tests.unit.feedback.attempts import attempt

MAX_PIXELS = 1_000_000
PIXELS = thermal_pixels(seed=3, width_px=60, height_px=40)
IMAGE = Image.fromarray(PIXELS)
JPEG, PNG = encode(IMAGE, "JPEG", quality=95), encode(IMAGE, "PNG")


def pixels_of(upright: UprightImage) -> np.ndarray:
    """As Ultralytics reads the file, but RGB."""
    decoded = cv2.imdecode(np.frombuffer(upright.content, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (upright.height_px, upright.width_px, 3)
    return decoded[:, :, ::-1]


def refused(content: bytes, max_pixels: int = MAX_PIXELS) -> Refusal:
    with pytest.raises(Refusal) as caught:
        normalise(content, max_pixels)
    return caught.value


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_file_is_kept_byte_for_byte(file_format: str, mode: str) -> None:
    content = encode(IMAGE.convert(mode), file_format)
    upright = normalise(content, MAX_PIXELS)
    assert upright == UprightImage(content, 60, 40, IMAGE)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "BMP", "WEBP"])
def test_lossless_formats_keep_their_pixels(file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    upright = normalise(encode(IMAGE, file_format, **options), MAX_PIXELS)
    assert np.array_equal(pixels_of(upright), PIXELS)
    assert upright.content.startswith(b"\x89PNG")


def stored_under(orientation: int, upright: Image.Image = IMAGE) -> Image.Image:
    """An image as a camera stores it whose EXIF says `orientation`, so that upright gives this one."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return upright.transpose(undo[orientation]) if orientation in undo else upright


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_ends_upright(orientation: int, file_format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    content = encode(stored_under(orientation), file_format, exif=exif, **lossless.get(file_format, {}))
    upright = normalise(content, MAX_PIXELS)
    assert (upright.width_px, upright.height_px) == (60, 40)
    assert np.abs(pixels_of(upright).astype(int) - PIXELS).max() <= (8 if file_format == "JPEG" else 0)
    if orientation > 1:
        assert not Image.open(io.BytesIO(upright.content)).getexif()


@given(
    st.tuples(st.integers(10, 90), st.integers(10, 90)),
    st.integers(1, 8),
    st.sampled_from(["JPEG", "PNG", "TIFF", "BMP", "WEBP"]),
    st.data(),
)
def test_a_box_is_in_its_label_file_where_it_was_seen(
    size_px: tuple[int, int], orientation: int, file_format: str, data: st.DataObject
) -> None:
    low = [data.draw(st.integers(0, side - 1)) for side in size_px]
    high = [data.draw(st.integers(least + 1, side)) for least, side in zip(low, size_px, strict=True)]
    seen = Image.new("L", size_px)
    seen.paste(255, (*low, *high))
    upright = normalise(camera_file(seen, orientation, file_format), MAX_PIXELS)
    _, *shares = map(float, label_text(labelled(upright, (*low, *high))).split())
    center, size = np.array(shares[:2]) * size_px, np.array(shares[2:]) * size_px
    rows, columns = np.nonzero(pixels_of(upright)[:, :, 0] > 127)
    lit = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(np.concatenate([center - size / 2, center + size / 2]) - lit).max() < 0.5


def camera_file(seen: Image.Image, orientation: int, file_format: str) -> bytes:
    """A file that shows the image under this orientation; BMP knows none."""
    if file_format == "BMP":
        return encode(seen, file_format)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(file_format, {})
    return encode(stored_under(orientation, seen), file_format, exif=exif, **options)


def labelled(upright: UprightImage, xyxy: tuple[int, ...]) -> LabelledImage:
    """The image with a box that was posted."""
    size_px = upright.width_px, upright.height_px
    (stored,) = fit([Detection.model_validate(detection(xyxy))], CLASS_NAMES, *size_px)
    label = Label.from_xyxy(stored["class_id"], stored["xyxy"], *size_px)
    return LabelledImage(
        path=Path("x"), sha256="0" * 64, width_px=size_px[0], height_px=size_px[1], labels=(label,)
    )


def with_segment(jpeg: bytes, payload: bytes) -> bytes:
    """The JPEG with one APP1 segment more."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


@pytest.mark.parametrize(
    "payload",
    [
        b"Exif\0\0no TIFF header at all",
        b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation="6"></x:xmpmeta>',
    ],
    ids=["damaged EXIF", "XMP"],
)
def test_only_sound_exif_turns_an_image(payload: bytes) -> None:
    content = with_segment(JPEG, payload)
    assert normalise(content, MAX_PIXELS) == UprightImage(content, 60, 40, IMAGE)
    # What OpenCV makes of it, and so training, is the same.
    assert np.array_equal(
        pixels_of(UprightImage(content, 60, 40, IMAGE)), pixels_of(UprightImage(JPEG, 60, 40, IMAGE))
    )


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA", "1", "CMYK", "YCbCr", "L"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    file_format = "TIFF" if mode in ("CMYK", "PA", "YCbCr") else "PNG"
    grey = Image.fromarray(PIXELS[:, :, 0])
    image = grey.convert("LA").convert("PA") if mode == "PA" else IMAGE.convert(mode)
    upright = normalise(encode(image, file_format), MAX_PIXELS)
    if mode != "L":
        assert Image.open(io.BytesIO(upright.content)).mode == "RGB"
    assert np.abs(pixels_of(upright).astype(int) - np.asarray(image.convert("RGB"))).max() <= 2


def test_a_cmyk_jpeg_has_its_true_colours() -> None:
    upright = normalise(encode(IMAGE.convert("CMYK"), "JPEG", quality=100), MAX_PIXELS)
    assert np.abs(pixels_of(upright).astype(int) - PIXELS).mean() < 4


def test_alpha_is_dropped_as_the_live_model_sees_it() -> None:
    transparent = np.dstack([PIXELS, np.zeros(PIXELS.shape[:2], np.uint8)])
    upright = normalise(encode(Image.fromarray(transparent)), MAX_PIXELS)
    assert np.array_equal(pixels_of(upright), PIXELS)


def test_a_transparent_colour_is_no_plain_file() -> None:
    upright = normalise(encode(IMAGE, transparency=(0, 0, 0)), MAX_PIXELS)
    assert np.array_equal(pixels_of(upright), PIXELS)
    assert "transparency" not in Image.open(io.BytesIO(upright.content)).info


COUNTS = 7_000 + thermal_pixels(seed=5, width_px=60, height_px=40)[:, :, 0].astype(np.uint16) * 2


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_radiometric_counts_use_all_greys(file_format: str) -> None:
    """Counts 7000 to 7500 of 65535 would be two greys if only their high byte were kept."""
    greys = pixels_of(normalise(encode(Image.fromarray(COUNTS), file_format), MAX_PIXELS))[:, :, 0]
    assert (greys.min(), greys.max()) == (0, 255)
    assert len(np.unique(greys)) > 100
    # Hotter stays lighter.
    by_count = greys.ravel()[np.argsort(COUNTS, axis=None)].astype(int)
    assert np.diff(by_count).min() >= 0


def test_a_dead_pixel_does_not_darken_the_image() -> None:
    counts = COUNTS.copy()
    counts[0, 0] = 65_535
    greys = pixels_of(normalise(encode(Image.fromarray(counts), "TIFF"), MAX_PIXELS))[:, :, 0]
    assert len(np.unique(greys)) > 100


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_a_configured_window_gives_the_same_grey_to_the_same_temperature(mode: str) -> None:
    window = CelsiusWindow(low_c=0, high_c=100, counts_scale=0.04, counts_offset_c=-273.15)
    celsius = np.array([[-20, 0, 50, 100, 300]] * 40, dtype=np.float32).repeat(8, axis=1)
    counts = np.rint((celsius + 273.15) / 0.04).astype(np.uint16)
    picture = Image.fromarray(celsius if mode == "F" else counts)
    upright = normalise(encode(picture, "TIFF"), MAX_PIXELS, window)
    greys = pixels_of(upright)[0, ::8, 0]
    assert np.abs(greys.astype(int) - [0, 0, 128, 255, 255]).max() <= 1
    assert upright.window == {"method": "celsius", "low": 0, "high": 100}


def test_the_window_that_was_used_is_told() -> None:
    counts = np.linspace(1_000, 3_000, 40 * 40).reshape(40, 40).astype(np.uint16)
    window = normalise(encode(Image.fromarray(counts), "PNG"), MAX_PIXELS).window
    assert window is not None
    assert window["method"] == "percentile"
    assert 1_000 <= window["low"] < 1_010
    assert 2_990 < window["high"] <= 3_000
    assert normalise(PNG, MAX_PIXELS).window is None


def test_temperatures_with_gaps() -> None:
    temperatures = COUNTS.astype(np.float32) / 100 - 40
    temperatures[5, 5], temperatures[6, 6] = np.nan, np.inf
    greys = pixels_of(normalise(encode(Image.fromarray(temperatures), "TIFF"), MAX_PIXELS))[:, :, 0]
    assert (greys[5, 5], greys[6, 6]) == (0, 255)
    assert len(np.unique(greys)) > 100


@pytest.mark.parametrize("value", [0, 7_000, 65_535])
def test_an_even_radiometric_image_is_no_error(value: int) -> None:
    even = Image.fromarray(np.full((40, 60), value, np.uint16))
    assert len(np.unique(pixels_of(normalise(encode(even), MAX_PIXELS)))) == 1


def test_an_image_of_gaps_alone_is_refused() -> None:
    gaps = Image.fromarray(np.full((40, 60), np.nan, np.float32))
    assert refused(encode(gaps, "TIFF")).code == "decode_failed"


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colour_becomes_eight_bit(suffix: str) -> None:
    content = cv2.imencode(suffix, PIXELS[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    upright = normalise(content, MAX_PIXELS)
    assert np.array_equal(pixels_of(upright), PIXELS)
    assert upright.content[24] == 8


def test_an_animated_png_gives_its_first_picture() -> None:
    second = Image.fromarray(thermal_pixels(9, 60, 40))
    upright = normalise(encode(IMAGE, save_all=True, append_images=[second]), MAX_PIXELS)
    assert np.array_equal(pixels_of(upright), PIXELS)
    assert getattr(Image.open(io.BytesIO(upright.content)), "n_frames", 1) == 1


def test_a_camera_file_with_a_preview_is_kept() -> None:
    content = encode(IMAGE, "MPO", save_all=True, append_images=[IMAGE.resize((30, 20))])
    assert normalise(content, MAX_PIXELS) == UprightImage(content, 60, 40, IMAGE)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_a_cut_file_is_refused(file_format: str, share: float) -> None:
    whole = thermal_file(1, 200, 150, file_format)
    assert refused(whole[: int(len(whole) * share)]).code in ("decode_truncated", "decode_failed")


@pytest.mark.parametrize("missing", range(1, 40))
@pytest.mark.parametrize("whole", [JPEG, PNG], ids=["JPEG", "PNG"])
def test_a_file_cut_near_its_end_is_refused_or_made_whole(whole: bytes, missing: int) -> None:
    """Pillow shows some of these; OpenCV refuses them and Ultralytics rewrites them, so none is kept."""
    upright = attempt(lambda: normalise(whole[:-missing], MAX_PIXELS))
    if isinstance(upright, Refusal):
        assert upright.code in ("decode_truncated", "decode_failed")
    else:
        assert upright.content != whole[:-missing]
        pixels_of(upright)


def test_the_detail_of_a_cut_file_tells_its_size() -> None:
    refusal = refused(JPEG[:500])
    assert (refusal.code, "500 bytes" in refusal.detail) == ("decode_truncated", True)


@pytest.mark.parametrize("position", [-14, -5])
def test_a_wrong_checksum_is_not_kept(position: int) -> None:
    damaged = bytearray(PNG)
    damaged[position] ^= 0xFF
    assert np.array_equal(pixels_of(normalise(bytes(damaged), MAX_PIXELS)), PIXELS)


def test_a_jpeg_with_a_tail_is_written_anew() -> None:
    upright = normalise(JPEG + b"vendor data", MAX_PIXELS)
    assert np.array_equal(pixels_of(upright), pixels_of(UprightImage(JPEG, 60, 40, IMAGE)))
    assert upright.content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        (b"", "decode_empty", "0 bytes"),
        (b"\n <!DOCTYPE html><html>Sign in</html>", "fetch_not_an_image", "HTML"),
        (b"\xef\xbb\xbf<HTML><body/></HTML>", "fetch_not_an_image", "HTML"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "decode_unsupported", "SVG"),
        (b"<svg onload='alert(1)'/>", "decode_unsupported", "SVG"),
        (encode(IMAGE.convert("P"), "GIF"), "decode_unsupported", "GIF"),
        (encode(IMAGE, "PDF"), "decode_unsupported", "PDF"),
        (encode(IMAGE, "PPM"), "decode_unsupported", "not accepted"),
        (encode(IMAGE, "ICO"), "decode_unsupported", "not accepted"),
        (b'{"error": "no such key"}', "decode_unsupported", "not accepted"),
        (bytes(1000), "decode_unsupported", "not accepted"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "decode_unsupported", "not accepted"),
        (b"\xff\xd8\xff\xe0" + bytes(1000), "decode_failed", "JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), "decode_failed", "PNG"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, code: str, word: str) -> None:
    refusal = refused(content)
    assert (refusal.code, word in refusal.detail) == (code, True), refusal.detail


@pytest.mark.parametrize("side_px", [1001, 10_000, 20_000])
def test_a_bomb_is_refused_before_it_is_unpacked(side_px: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = encode(Image.new("1", (side_px, side_px)))
    assert len(bomb) < 100_000
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
    refusal = refused(bomb)
    assert refusal.code == "image_too_large"
    assert str(MAX_PIXELS) in refusal.detail


def test_a_header_that_lies_about_the_size_is_refused() -> None:
    lying = bytearray(PNG)
    lying[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    assert refused(bytes(lying)).code in ("image_too_large", "decode_failed")


@pytest.mark.parametrize("size_px", [(9, 500), (500, 9), (1, 1)])
def test_an_image_too_small_to_train_on(size_px: tuple[int, int]) -> None:
    refusal = refused(encode(Image.new("RGB", size_px)))
    assert refusal.code == "image_too_small"
    assert f"{size_px[0]} x {size_px[1]}" in refusal.detail


@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from(["JPEG", "PNG", "TIFF", "BMP", "WEBP"]))
def test_a_tampered_file_is_readable_or_refused(noise: bytes, position: int, file_format: str) -> None:
    content = bytearray(thermal_file(2, 24, 16, file_format))
    content[position : position + len(noise)] = noise
    upright = attempt(lambda: normalise(bytes(content), MAX_PIXELS))
    if not isinstance(upright, Refusal):
        pixels_of(upright)


@pytest.mark.real_data
def test_real_images_are_kept_and_their_boxes_fit(real_data: Path) -> None:
    files = sorted((real_data / "tms-thermal").glob("*/images/*.jpg"))
    assert len(files) == 106
    for file in files:
        content = file.read_bytes()
        upright = normalise(content, max_pixels=50_000_000)
        assert upright.content == content
        labels = file.parent.parent / "labels" / f"{file.stem}.txt"
        posted = [_posted(line, upright) for line in labels.read_text(encoding="utf-8").splitlines()]
        assert len(fit(posted, ["any"] * 5, upright.width_px, upright.height_px)) == len(posted)


def _posted(line: str, upright: UprightImage) -> Detection:
    """A line of a YOLO label file as the feed would post it."""
    class_id, center_x, center_y, width, height = map(float, line.split())
    left, top = (center_x - width / 2) * upright.width_px, (center_y - height / 2) * upright.height_px
    right, bottom = left + width * upright.width_px, top + height * upright.height_px
    return Detection.model_validate(detection((left, top, right, bottom), int(class_id)))
