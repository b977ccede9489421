"""Pictures that are not what TensorFlow takes for granted: each is made so, or refused by name."""

import json
from contextlib import suppress
from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_folders import OBJECT, picture
from PIL import Image

from trainers.datasets.jpeg import CorruptJpeg, plain_jpeg
from trainers.datasets.opening import open_dataset
from trainers.datasets.picture import BadPicture, Picture, read_picture
from trainers.datasets.record import read_records


def read(data: bytes, size=None, turned=False) -> Picture:
    return read_picture(data, size, turned)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


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
    assert (found.data, found.width, found.height, found.encoded_anew) == (data, 64, 48, "")


@pytest.mark.parametrize("kind", ENCODED_ANEW)
def test_what_it_would_read_otherwise_is_encoded_anew_and_looks_the_same(kind):
    data = ENCODED_ANEW[kind]
    found = read(data)
    assert found.encoded_anew
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


ORIENTED = {
    turn: saved(
        Image.open(BytesIO(picture(1))),
        "JPEG",
        exif=(lambda e, t: (e.__setitem__(0x0112, t), e)[1])(Image.Exif(), turn),
    )
    for turn in range(1, 9)
}


@pytest.mark.parametrize("turn", range(1, 9))
def test_an_exif_turn_is_followed_when_the_labels_were_made_on_the_turned_picture(turn):
    data = ORIENTED[turn]
    stored = read(data, size=(64, 48))
    assert (stored.width, stored.height, stored.data) == (64, 48, data)
    assert read(data).data == data
    if turn >= 5:  # the sides change places: the stated size tells
        upright = read(data, size=(48, 64))
        assert (upright.width, upright.height) == (48, 64)
        assert "EXIF" in upright.encoded_anew
        assert np.abs(pixels(upright.data) - pixels(saved(transposed(data), "PNG"))).mean() < 4
    by_convention = read(data, turned=True)
    assert (by_convention.width, by_convention.height) == ((48, 64) if turn >= 5 else (64, 48))
    assert bool(by_convention.encoded_anew) == (turn > 1)
    assert "exif" not in Image.open(BytesIO(by_convention.data)).info or turn == 1


def transposed(data: bytes) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(Image.open(BytesIO(data)))


SPOT = (6, 10, 18, 30)  # ymin, xmin, ymax, xmax of a bright spot on a dark picture of 64x48


def spotted(turn: int) -> bytes:
    """As a camera stores it: the picture that a person sees with its spot at SPOT, turned back."""
    seen = Image.new("RGB", (64, 48), (20, 20, 20))
    seen.paste((240, 240, 240), (SPOT[1], SPOT[0], SPOT[3], SPOT[2]))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Transpose members that undo an orientation
    stored = seen.transpose(Image.Transpose(back[turn])) if turn > 1 else seen
    exif = Image.Exif()
    exif[0x0112] = turn
    return saved(stored, "JPEG", exif=exif, quality=95)


def spot_of(data: bytes) -> tuple[int, ...]:
    rows, columns = np.nonzero(pixels(data).mean(axis=2) > 130)
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


# YOLO's tools label what is seen; the others' sizes tell which it was, unless the turn keeps the size: then it is taken
# to be what is stored
LABELLED_AS = [
    *(("yolo", turn, True) for turn in range(1, 9)),
    *((name, turn, False) for name in ("coco", "pascal_voc") for turn in range(1, 9)),
    *((name, turn, True) for name in ("coco", "pascal_voc") for turn in range(5, 9)),
]


@pytest.mark.parametrize(("name", "turn", "seen"), LABELLED_AS)
def test_a_box_is_on_what_it_was_drawn_around_whichever_way_the_camera_was_held(name, turn, seen, tmp_path):
    data = spotted(turn)
    drawn_at = SPOT if seen else spot_of(data)
    width, height = (64, 48) if seen or turn < 5 else (48, 64)
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(data + bytes([number]))
    ymin, xmin, ymax, xmax = (int(edge) for edge in drawn_at)
    if name == "coco":
        document = {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "width": width, "height": height} for i in range(5)
            ],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1, "bbox": [xmin, ymin, xmax - xmin, ymax - ymin]}
                for i in range(5)
            ],
            "categories": [{"id": 1, "name": "spot"}],
        }
        (tmp_path / "labels.json").write_text(json.dumps(document))
    for i in range(5):
        if name == "pascal_voc":
            box = OBJECT.format(name="spot", ymin=ymin, xmin=xmin, ymax=ymax, xmax=xmax)
            size = f"<size><width>{width}</width><height>{height}</height></size>"
            (tmp_path / f"{i}.xml").write_text(
                f"<annotation><filename>{i}.jpg</filename>{size}{box}</annotation>"
            )
        if name == "yolo":
            numbers = (
                (xmin + xmax) / 2 / width, (ymin + ymax) / 2 / height, (xmax - xmin) / width, (ymax - ymin) / height,
            )  # fmt: skip
            (tmp_path / f"{i}.txt").write_text("0 " + " ".join(map(str, numbers)))
            (tmp_path / "classes.txt").write_text("spot\n")
    opened = open_dataset(str(tmp_path), tmp_path.parent / f"{tmp_path.name} cache")
    records = [record for part in opened.parts.values() for record in read_records(part.files)]
    assert len(records) == 5
    for record in records:
        assert record.pixel_boxes()[0] == pytest.approx(np.array(spot_of(record.image)), abs=1.1)


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
    if min(width, height) >= 8:  # JPEG and WebP keep one colour for every four pixels
        assert np.abs(pixels(found.data) - expected).mean() < 8
    assert read(found.data) == replace(found, encoded_anew="")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@given(share=st.floats(0, 0.97))
@settings(max_examples=60, deadline=None)
def test_a_picture_cut_off_anywhere_is_refused(kind, share):
    data = picture(1, kind=kind)
    with pytest.raises(BadPicture):
        read(data[: int(share * len(data))])


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
    with pytest.raises(CorruptJpeg, match="cut off"):
        plain_jpeg(good[:-2])
    with pytest.raises(CorruptJpeg, match="cannot be there"):
        plain_jpeg(good[: scan + 40] + b"\xff\xc0" + good[scan + 42 :])
    with pytest.raises(CorruptJpeg, match="ends too early"):
        plain_jpeg(good[: scan + 16] + b"\xff\xd9")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "an empty file"),
        (b"GIF89a", "not a picture"),
        (b"<html>", "not a picture of a known format"),
    ],
)
def test_a_refusal_says_why(data, why):
    with pytest.raises(BadPicture, match=why):
        read(data)


def test_a_picture_too_large_to_train_on_is_refused_without_decoding_it():
    bomb = saved(Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(BadPicture, match=r"million|larger"):
        read(bomb)
