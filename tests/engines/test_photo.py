import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecam_engines.photo import MAX_SIDE, BadPhoto, is_photo, read_photo

RGB = (200, 100, 50)


def quarters(h: int = 40, w: int = 60) -> np.ndarray:
    """RGB: red in the upper left, green upper right, blue lower left, white lower right."""
    picture = np.zeros((h, w, 3), dtype=np.uint8)
    picture[: h // 2, : w // 2] = (255, 0, 0)
    picture[: h // 2, w // 2 :] = (0, 255, 0)
    picture[h // 2 :, : w // 2] = (0, 0, 255)
    picture[h // 2 :, w // 2 :] = 255
    return picture


def save(path: Path, picture: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(picture)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def test_a_photo_comes_as_blue_green_red(tmp_path: Path) -> None:
    frame = read_photo(save(tmp_path / "a.png", quarters()))
    assert (frame.shape, frame.dtype) == ((40, 60, 3), np.uint8)
    np.testing.assert_array_equal(frame, quarters()[:, :, ::-1])
    assert frame.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
def test_however_the_camera_was_held_the_photo_stands_upright(tmp_path: Path, orientation: int) -> None:
    upright = quarters()
    # How the sensor saw it, for each value of the EXIF tag (the standard's table).
    seen = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(seen), exif=exif)
    np.testing.assert_array_equal(read_photo(path), upright[:, :, ::-1])


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBA", "I;16", "I", "F"])
def test_every_kind_of_picture_has_three_channels_in_the_end(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path / "a.tif", quarters().mean(axis=2).astype(np.uint8), mode)
    frame = read_photo(path)
    assert (frame.shape, frame.dtype) == ((40, 60, 3), np.uint8)
    grey = mode not in {"CMYK"}
    if grey:
        assert (frame[..., 0] == frame[..., 2]).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_of_sixteen_bits_keeps_its_shades(tmp_path: Path, suffix: str) -> None:
    """As industrial and infrared cameras write it; cut off at 255 nearly all of it would be white."""
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    frame = read_photo(save(tmp_path / f"a{suffix}", ramp))
    np.testing.assert_array_equal(frame[..., 1], (ramp // 256).astype(np.uint8))


def test_a_palette_with_a_transparent_colour_keeps_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(quarters()).quantize(4)
    image.save(tmp_path / "a.png", transparency=bytes([0, 255, 128, 255]))
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), quarters()[:, :, ::-1])


def test_a_large_photo_is_reduced_and_keeps_its_shape_and_colours(tmp_path: Path) -> None:
    frame = read_photo(save(tmp_path / "a.jpg", quarters(1500, 3000), quality=95))
    assert frame.shape == (MAX_SIDE // 2, MAX_SIDE, 3)
    assert np.abs(frame[100, 100].astype(int) - (0, 0, 255)).max() < 8


def test_a_photo_of_one_line_is_not_reduced_to_nothing(tmp_path: Path) -> None:
    assert read_photo(save(tmp_path / "a.png", quarters(2, 4000))).shape == (1, MAX_SIDE, 3)


def whole(fmt: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(quarters()).save(buffer, fmt)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes"),
        (b"not a photo at all", "not an image"),
        (whole("JPEG")[:-200], "truncated"),
        (whole("PNG")[:-60], "truncated"),
        (png_header(9_400, 9_480), "absurdly large"),  # between our limit and Pillow's
        (png_header(10_000, 10_000), "absurdly large"),
        (png_header(60_000, 60_000), "absurdly large"),
    ],
    ids=["empty", "words", "half a JPEG", "a cut PNG", "above ours", "above Pillow's", "bomb"],
)
def test_a_bad_file_is_named_with_a_reason_for_a_table(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(BadPhoto, match=r"a\.jpg cannot be used") as caught:
        read_photo(path)
    assert caught.value.path == path
    assert reason in caught.value.reason
    assert len(caught.value.reason) < 120
    assert "\n" not in caught.value.reason


def test_a_file_that_is_gone_or_a_folder_is_a_bad_photo_too(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jpg", tmp_path):
        with pytest.raises(BadPhoto):
            read_photo(path)


@pytest.mark.filterwarnings("ignore")  # Pillow tells at length what is wrong with a TIFF
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
def test_no_damage_leads_to_anything_but_a_frame_or_a_bad_photo(tmp_path: Path, fmt: str) -> None:
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(quarters()).save(buffer, fmt, **({} if fmt == "BMP" else {"exif": exif}))
    path = tmp_path / f"a.{fmt.lower()}"
    outcomes = set()
    for _ in range(150):
        content = bytearray(buffer.getvalue())
        for place in rng.integers(0, min(len(content), 250), 3):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: len(content) if rng.random() < 0.8 else rng.integers(1, len(content))])
        try:
            outcomes.add(read_photo(path).ndim)
        except BadPhoto:
            outcomes.add(0)
    assert outcomes <= {0, 3}
    assert 0 in outcomes


def test_an_error_of_pillows_own_parsing_is_a_bad_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with a damaged EXIF block: struct.error, which is none of the usual kinds."""

    def transpose(image: object) -> None:
        raise struct.error("required argument is not an integer")

    path = save(tmp_path / "a.png", quarters())
    monkeypatch.setattr("PIL.ImageOps.exif_transpose", transpose)
    with pytest.raises(BadPhoto, match="required argument"):
        read_photo(path)


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("a.JPG", True),
        ("a.jpeg", True),
        ("a.tiff", True),
        (".a.jpg", False),
        ("a.txt", False),
        ("jpg", False),
    ],
)
def test_photos_are_known_by_their_names(name: str, photo: bool) -> None:
    assert is_photo(Path(name)) is photo
