"""Pictures that are not what TensorFlow takes for granted: each is made so, or refused by name."""

from contextlib import suppress
from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
import pytest
from encoded_pictures import pixels, read, saved
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_folders import picture
from PIL import Image

from trainers.datasets.pictures.jpeg import CorruptJpeg, plain_jpeg
from trainers.datasets.pictures.picture import BadPicture

SMOOTH = Image.fromarray(np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8))
DEEP = (np.linspace(0, 65535, 48 * 64).reshape(48, 64)).astype(np.uint16)

AS_THEY_ARE = {
    "colour JPEG": saved(SMOOTH, "JPEG"),
    "grey JPEG": saved(SMOOTH.convert("L"), "JPEG"),
    "progressive JPEG": saved(SMOOTH, "JPEG", progressive=True),
    "JPEG with restarts": saved(SMOOTH, "JPEG", restart_marker_blocks=1),
    "optimized JPEG of full colour": saved(SMOOTH, "JPEG", optimize=True, subsampling=0),
    "JPEG with something after it": saved(SMOOTH, "JPEG") + b"camera maker's notes",
    "colour PNG": saved(SMOOTH, "PNG"),
    "grey PNG": saved(SMOOTH.convert("L"), "PNG"),
}
ENCODED_ANEW = {
    "CMYK JPEG": saved(SMOOTH.convert("CMYK"), "JPEG"),
    "16-bit grey PNG": cv2.imencode(".png", DEEP)[1].tobytes(),
    "16-bit colour PNG": cv2.imencode(".png", np.dstack([DEEP] * 3))[1].tobytes(),
    "PNG with alpha": saved(SMOOTH.convert("RGBA"), "PNG"),
    "grey PNG with alpha": saved(SMOOTH.convert("LA"), "PNG"),
    "PNG with a palette": saved(SMOOTH.quantize(64), "PNG"),
    "PNG with a transparent colour": saved(SMOOTH, "PNG", transparency=(0, 0, 0)),
    "black and white PNG": saved(SMOOTH.convert("1"), "PNG"),
    "WebP": saved(SMOOTH, "WEBP", quality=95),
    "BMP": saved(SMOOTH, "BMP"),
    "TIFF": saved(SMOOTH, "TIFF"),
    "16-bit TIFF": saved(Image.fromarray(DEEP), "TIFF"),
    "GIF": saved(SMOOTH, "GIF"),
}


@pytest.mark.parametrize("kind", AS_THEY_ARE)
def test_what_tensorflow_reads_stays_as_it_is_to_the_byte(kind):
    data = AS_THEY_ARE[kind]
    found = read(data)
    assert (found.data, found.width, found.height, found.reencoded) == (data, 64, 48, "")


@pytest.mark.parametrize("kind", ENCODED_ANEW)
def test_what_it_would_read_otherwise_is_encoded_anew_and_looks_the_same(kind):
    data = ENCODED_ANEW[kind]
    found = read(data)
    assert found.reencoded
    assert Image.open(BytesIO(found.data)).mode in ("L", "RGB")
    assert read(found.data).data == found.data
    deep = np.repeat((DEEP >> 8)[..., None], 3, axis=2).astype(int)
    expected = deep if "16-bit" in kind else pixels(data)
    assert np.abs(pixels(found.data) - expected).mean() < 3


@pytest.mark.slow
def test_tensorflow_decodes_whatever_passed():
    import tensorflow as tf

    for data in (*AS_THEY_ARE.values(), *ENCODED_ANEW.values()):
        found = read(data)
        decoded = tf.io.decode_image(found.data, channels=3, expand_animations=False).numpy()
        assert decoded.shape == (found.height, found.width, 3)
        assert np.abs(decoded.astype(int) - pixels(found.data)).mean() < 3


@pytest.mark.slow
def test_tensorflow_decodes_whatever_passed_of_what_was_damaged():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    passed = refused = 0
    for turn in range(3000):
        data = bytearray(list(AS_THEY_ARE.values())[turn % len(AS_THEY_ARE)])
        at = rng.integers(len(data))
        if turn % 3 == 0:
            del data[at:]
        else:
            some = rng.integers(0, 256, rng.integers(1, 5), np.uint8)
            data[at : at + len(some)] = some.tobytes()
        try:
            found = read(bytes(data))
        except BadPicture:
            refused += 1
            continue
        passed += 1
        decoded = tf.io.decode_image(found.data, channels=3, expand_animations=False)
        assert decoded.shape == (found.height, found.width, 3)
    assert passed > 300
    assert refused > 1000


MODES = {
    "RGB": ("JPEG", "PNG", "WEBP", "BMP", "TIFF"),
    "L": ("JPEG", "PNG", "BMP", "TIFF", "GIF"),
    "CMYK": ("JPEG", "TIFF"),
    "RGBA": ("PNG", "WEBP", "TIFF"),
    "LA": ("PNG",),
    "P": ("PNG", "GIF", "BMP"),
    "1": ("PNG", "BMP", "TIFF"),
    "I;16": ("PNG", "TIFF"),
}


@pytest.mark.slow
@given(
    kind=st.sampled_from([(mode, kind) for mode, kinds in MODES.items() for kind in kinds]),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    seed=st.integers(0, 99),
    cut=st.none() | st.floats(0, 0.9),
)
@settings(max_examples=150, deadline=None)
def test_a_picture_of_any_kind_and_size_becomes_what_a_person_sees_or_is_refused_when_it_is_cut(
    kind, width, height, seed, cut
):
    mode, container = kind
    corners = np.random.default_rng(seed).integers(0, 255, (2, 2, 3), np.uint8)
    smooth = Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(smooth.convert("L")).astype(np.uint16) * 257)
        expected = np.repeat(np.asarray(smooth.convert("L"))[..., None], 3, axis=2).astype(int)
    else:
        image = smooth.convert(mode)
        expected = np.asarray(image.convert("RGB")).astype(int)
    options = {"quality": 95} if container in ("JPEG", "WEBP") else {}
    data = saved(image, container, **options)
    if cut is not None:
        with suppress(BadPicture):  # a few bytes less may leave a picture whole
            assert (read(data[: int(cut * len(data))]).width, height) == (width, height)
        return
    found = read(data)
    assert (found.width, found.height) == (width, height)
    assert found.format in ("jpeg", "png")
    assert Image.open(BytesIO(found.data)).mode in ("L", "RGB")
    if (
        min(width, height) >= 16
    ):  # JPEG and WebP keep one colour for every four pixels, few of which are alike in less
        assert np.abs(pixels(found.data) - expected).mean() < 8
    assert read(found.data) == replace(found, reencoded="")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@given(share=st.floats(0, 0.97))
@settings(max_examples=60, deadline=None)
def test_a_picture_cut_off_anywhere_is_refused(kind, share):
    data = picture(1, kind=kind)
    with pytest.raises(BadPicture):
        read(data[: int(share * len(data))])


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["colour JPEG", "progressive JPEG", "colour PNG", "WebP", "TIFF", "GIF", "BMP", "CMYK JPEG"]
)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_picture_with_wrong_bytes_is_read_or_refused_and_nothing_else(kind, data):
    damaged = bytearray((AS_THEY_ARE | ENCODED_ANEW)[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadPicture):
        found = read(bytes(damaged))
        assert found.width > 0
        assert found.height > 0


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_bytes_that_are_no_picture_are_refused(data):
    with pytest.raises(BadPicture):
        read(data)
    with pytest.raises(BadPicture):
        read(b"\xff\xd8" + data)


def test_a_jpeg_is_plain_only_if_a_decoder_would_take_it():
    good = AS_THEY_ARE["colour JPEG"]
    assert plain_jpeg(good) is not None
    assert plain_jpeg(AS_THEY_ARE["progressive JPEG"]) is None
    without_tables = good.replace(b"\xff\xc4", b"\xff\xfe", 1)  # a comment where Huffman codes were
    assert plain_jpeg(without_tables) is None
    scan = good.index(b"\xff\xda")
    with pytest.raises(CorruptJpeg, match="truncated"):
        plain_jpeg(good[:-2])
    with pytest.raises(CorruptJpeg, match="unexpected marker"):
        plain_jpeg(good[: scan + 40] + b"\xff\xc0" + good[scan + 42 :])
    with pytest.raises(CorruptJpeg, match="ends early"):
        plain_jpeg(good[: scan + 16] + b"\xff\xd9")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty file"),
        (b"GIF89a", "not an image"),
        (b"<html>", "not an image in a supported format"),
    ],
)
def test_a_refusal_says_why(data, why):
    with pytest.raises(BadPicture, match=why):
        read(data)


@pytest.mark.slow
def test_a_picture_too_large_to_train_on_is_refused_without_decoding_it():
    bomb = saved(Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(BadPicture, match=r"million|too many"):
        read(bomb)
