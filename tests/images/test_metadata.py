"""What a file says beside its pixels is kept where the format has room, and named where not."""

import io
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin
from png_files import chunk, png16

from fice_core.errors import FiceError
from fice_core.images.metadata import Metadata
from fice_core.images.photo import (
    Photo,
    check_size,
    encode_photo,
    losses,
    read_photo,
    write_photo,
)

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description %s/></x:xmpmeta>"
FORMATS = ("png", "webp", "jpg", "tif", "bmp")


def exif(**blocks: Any) -> Image.Exif:
    found = Image.Exif()
    found[0x010F], found[0x8298] = "camera", "(c) someone"
    for tag, value in blocks.items():
        found[int(tag[1:], 16)] = value
    return found


def photo(path: Path, size: tuple[int, int] = (6, 4), **options: Any) -> tuple[Photo, list[str]]:
    """What is read of an image that is saved with these options, and the notes."""
    Image.new("RGB", size, (200, 30, 90)).save(path, **options)
    notes: list[str] = []
    return read_photo(path, notes.append), notes


def opened(path: Path) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image


def texts(**values: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for key, text in values.items():
        info.add_itxt(key.replace("XMP", "XML:com.adobe.xmp"), text)
    return info


# EXIF data


@pytest.mark.parametrize("kind", ["png", "webp", "jpg", "tif"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_camera_and_author(tmp_path: Path, kind: str, suffix: str) -> None:
    found, notes = photo(tmp_path / f"a.{kind}", exif=exif())
    assert notes == []
    out = tmp_path / f"b.{suffix}"
    write_photo(out, found)
    tags = opened(out).getexif()
    left = [line for line in losses(out, found, "a") if "no room" in line]
    if suffix == "bmp":
        assert left == ["a: a .bmp file has no room for its EXIF data, left out"]
    else:
        assert (tags[0x010F], tags[0x8298]) == ("camera", "(c) someone")
        assert left == []


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_large_exif_data_are_kept_where_there_is_room(tmp_path: Path, suffix: str) -> None:
    found, _ = photo(tmp_path / "a.png", exif=exif(x8769={0x927C: b"m" * 70_000}))
    write_photo(tmp_path / f"b.{suffix}", found)
    block = opened(tmp_path / f"b.{suffix}").getexif().get_ifd(0x8769)
    assert len(block[0x927C]) == 70_000
    assert losses(f"b.{suffix}", found, "a") == []


def test_a_jpeg_file_without_room_loses_the_makers_notes_first(tmp_path: Path) -> None:
    blocks = {0x927C: b"m" * 40_000, 0x9286: b"c" * 30_000, 0x9003: "2026:01:01 10:00:00"}
    found, _ = photo(tmp_path / "a.png", exif=exif(x8769=blocks))
    write_photo(tmp_path / "b.jpg", found)
    block = opened(tmp_path / "b.jpg").getexif().get_ifd(0x8769)
    assert set(block) == {0x9286, 0x9003}
    assert "a: a .jpg file has no room for its EXIF tags MakerNote, left out" in losses(
        "b.jpg", found, "a"
    )
    # Where that is not enough, the next largest goes.
    blocks[0x9286] = b"c" * 66_000
    found, _ = photo(tmp_path / "a.png", exif=exif(x8769=blocks))
    write_photo(tmp_path / "b.jpg", found)
    tags = opened(tmp_path / "b.jpg").getexif()
    assert set(tags.get_ifd(0x8769)) == {0x9003}
    assert tags[0x010F] == "camera"
    assert "MakerNote, UserComment" in losses("b.jpg", found, "a")[1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_those_of_the_upright_image(tmp_path: Path, orientation: int) -> None:
    tags = exif(x0112=orientation, x8769={0xA002: 6, 0xA003: 4})
    found, _ = photo(tmp_path / "a.jpg", exif=tags, dpi=(300, 150))
    write_photo(tmp_path / "b.jpg", found)
    image = opened(tmp_path / "b.jpg")
    block = image.getexif().get_ifd(0x8769)
    assert (block[0xA002], block[0xA003]) == image.size
    assert 0x0112 not in image.getexif()
    assert image.info["dpi"] == ((150, 300) if orientation >= 5 else (300, 150))


def test_a_turned_tiff(tmp_path: Path) -> None:
    found, _ = photo(tmp_path / "a.tif", exif=exif(x0112=6), dpi=(300, 150))
    assert found.pixels.shape == (3, 6, 4)
    assert found.metadata.dpi == (150, 300)


def test_no_block_is_added(tmp_path: Path) -> None:
    found, _ = photo(tmp_path / "a.jpg", exif=exif(x0112=6))
    assert found.exif == exif().tobytes()
    assert read_photo(tmp_path / "a.jpg").metadata.dpi is None  # Pillow makes one up


def test_a_thumbnail_is_told(tmp_path: Path) -> None:
    """It shows the photo before the edit. A second block of tags is written by hand."""
    first = struct.pack("<HHHI4sI", 1, 0x0112, 3, 1, b"\1\0\0\0", 26)
    second = struct.pack("<HHHI4sI", 1, 0x0103, 3, 1, b"\6\0\0\0", 0)
    data = b"Exif\0\0II*\0\x08\0\0\0" + first + second
    _, notes = photo(tmp_path / "a.jpg", exif=data)
    assert len(notes) == 1
    assert "thumbnail" in notes[0]


def test_tiff_keeps_the_tags_it_can(tmp_path: Path) -> None:
    blocks = {"x8769": {0x9003: "2026:01:01 10:00:00"}, "x0100": 99, "x011a": 72.0}
    found, _ = photo(tmp_path / "a.jpg", exif=exif(**blocks))
    write_photo(tmp_path / "b.tif", found)
    assert opened(tmp_path / "b.tif").size == (6, 4)
    assert losses("b.tif", found, "a") == [
        "a: a .tif file has no room for its EXIF data of exposure and place, left out"
    ]


# Resolution, XMP, texts


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_resolution(tmp_path: Path, kind: str, suffix: str) -> None:
    tags = Image.Exif()
    tags[0x011A], tags[0x011B], tags[0x0128] = 300.0, 200.0, 2
    options: dict[str, Any] = {"exif": tags} if kind == "webp" else {"dpi": (300, 200)}
    found, _ = photo(tmp_path / f"a.{kind}", **options)
    out = tmp_path / f"b.{suffix}"
    write_photo(out, found)
    again = read_photo(out).metadata.dpi
    assert again == pytest.approx((300, 200), abs=0.01)
    assert not [line for line in losses(out, found, "a") if "resolution" in line]


def test_no_resolution_is_made_up(tmp_path: Path) -> None:
    for kind in ("png", "webp", "jpg", "tif"):
        found, _ = photo(tmp_path / f"a.{kind}")
        assert found.metadata.dpi is None
        assert found.metadata.texts == {}


@pytest.mark.parametrize("kind", ["png", "webp", "jpg", "tif"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_xmp(tmp_path: Path, kind: str, suffix: str) -> None:
    packet = XMP % b"dc:creator='someone'"
    options: dict[str, Any] = {"xmp": packet}
    if kind == "png":
        options = {"pnginfo": texts(XMP=packet.decode())}
    elif kind == "tif":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[700] = packet
        options = {"tiffinfo": tags}
    elif kind == "jpg":
        head = b"http://ns.adobe.com/xap/1.0/\0"
        size = struct.pack(">H", 2 + len(head + packet))
        options = {"extra": b"\xff\xe1" + size + head + packet}
    found, _ = photo(tmp_path / f"a.{kind}", **options)
    assert found.metadata.xmp == packet
    write_photo(tmp_path / f"b.{suffix}", found)
    if suffix == "bmp":
        assert "no room for its XMP" in losses("b.bmp", found, "a")[0]
    else:
        assert read_photo(tmp_path / f"b.{suffix}").metadata.xmp == packet


@pytest.mark.parametrize("form", ["tiff:Orientation='6'", 'tiff:Orientation="6"'])
def test_xmp_says_that_the_pixels_are_upright(tmp_path: Path, form: str) -> None:
    """Pillow turns an image by its XMP, too, so a second turn must not follow."""
    sizes = "tiff:ImageWidth='6' tiff:ImageLength='4'"
    packet = (XMP % f"{form} {sizes}".encode()).decode()
    found, _ = photo(tmp_path / "a.png", pnginfo=texts(XMP=packet), exif=exif(x0112=6))
    assert found.pixels.shape == (3, 6, 4)
    write_photo(tmp_path / "b.png", found)
    image = opened(tmp_path / "b.png")
    assert ImageOps.exif_transpose(image).size == image.size == (4, 6)
    assert "tiff:ImageWidth='4' tiff:ImageLength='6'" in image.text["XML:com.adobe.xmp"]


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_sizes_that_were_wrong_become_right(tmp_path: Path, orientation: int, kind: str) -> None:
    """Programs that resize a photo often leave the sizes of the camera."""
    blocks = {"x0100": 4000, "x0101": 3000, "x8769": {0xA002: 4000, 0xA003: 70_000}}
    found, _ = photo(tmp_path / f"a.{kind}", exif=exif(x0112=orientation, **blocks))
    write_photo(tmp_path / "b.jpg", found)
    image = opened(tmp_path / "b.jpg")
    assert image.size == ((4, 6) if orientation == 6 else (6, 4))
    tags = image.getexif()
    block = tags.get_ifd(0x8769)
    assert (tags[0x0100], tags[0x0101]) == (block[0xA002], block[0xA003]) == image.size


def test_one_size_alone_and_none_at_all(tmp_path: Path) -> None:
    found, _ = photo(tmp_path / "a.jpg", exif=exif(x0112=6, x8769={0xA003: 99}))
    write_photo(tmp_path / "b.jpg", found)
    assert dict(opened(tmp_path / "b.jpg").getexif().get_ifd(0x8769)) == {0xA003: 6}


@pytest.mark.parametrize("orientation", [1, 6])
def test_wrong_sizes_in_xmp_become_right(tmp_path: Path, orientation: int) -> None:
    packet = (
        "<rdf:Description tiff:ImageWidth='4000' tiff:ImageLength=\"3000\" tiff:XResolution='300'>"
        "<exif:PixelXDimension>4000</exif:PixelXDimension>"
        "<exif:PixelYDimension> 3000</exif:PixelYDimension></rdf:Description>"
    )
    tags = exif(x0112=orientation)
    found, _ = photo(tmp_path / "a.png", pnginfo=texts(XMP=packet), exif=tags)
    assert found.metadata.xmp is not None
    height, width = found.pixels.shape[1:]
    axis = "X" if orientation == 1 else "Y"
    assert found.metadata.xmp.decode() == (
        f"<rdf:Description tiff:ImageWidth='{width}' tiff:ImageLength=\"{height}\" "
        f"tiff:{axis}Resolution='300'><exif:PixelXDimension>{width}</exif:PixelXDimension>"
        f"<exif:PixelYDimension> {height}</exif:PixelYDimension></rdf:Description>"
    )


def test_texts_of_a_png(tmp_path: Path) -> None:
    info = texts(Title="Grün", workflow='{"a": 1}')
    found, _ = photo(tmp_path / "a.png", pnginfo=info)
    write_photo(tmp_path / "b.png", found)
    assert dict(opened(tmp_path / "b.png").text) == {"Title": "Grün", "workflow": '{"a": 1}'}
    for suffix in FORMATS[1:]:
        assert (
            "no room for its text 'Title', text 'workflow'" in losses(f"b.{suffix}", found, "a")[-1]
        )


def test_thousands_of_texts_take_no_time(tmp_path: Path) -> None:
    found = Photo(torch.rand(3, 4, 4), metadata=Metadata(texts={f"t{k}": "x" for k in range(3000)}))
    start = time.process_time()
    write_photo(tmp_path / "a.png", found)
    assert len(opened(tmp_path / "a.png").text) == 3000
    assert "text 't0'" in losses("a.bmp", found, "a")[0]
    assert len(losses("a.bmp", found, "a")[0]) < 200
    assert time.process_time() - start < 10


def test_comments(tmp_path: Path) -> None:
    found, _ = photo(tmp_path / "a.jpg", comment="grün".encode())
    write_photo(tmp_path / "b.jpg", found)
    assert opened(tmp_path / "b.jpg").info["comment"] == "grün".encode()
    write_photo(tmp_path / "b.png", found)
    assert opened(tmp_path / "b.png").text == {"Comment": "grün"}
    found, _ = photo(tmp_path / "a.jpg", comment=b"gr\xfcn")
    assert found.metadata.texts == {"Comment": "grün"}


def test_gamma_of_a_png(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100_000))
    found, _ = photo(tmp_path / "a.png", pnginfo=info)
    write_photo(tmp_path / "b.png", found)
    assert opened(tmp_path / "b.png").info["gamma"] == 1.0
    assert "no room for its gamma" in losses("b.jpg", found, "a")[-1]


def test_a_16_bit_png_keeps_all_of_it(tmp_path: Path) -> None:
    extra = chunk(b"gAMA", struct.pack(">I", 100_000))
    extra += chunk(b"pHYs", struct.pack(">IIB", 11811, 5906, 1))
    extra += chunk(b"tEXt", b"Title\0hello")
    levels = np.random.default_rng(0).integers(0, 65536, (4, 6, 3))
    (tmp_path / "a.png").write_bytes(png16(levels, extra))
    found = read_photo(tmp_path / "a.png")
    write_photo(tmp_path / "b.png", found)
    image = opened(tmp_path / "b.png")
    assert image.info["gamma"] == 1.0
    assert image.info["dpi"] == pytest.approx((300, 150), abs=0.02)
    assert image.text == {"Title": "hello"}
    assert torch.equal(read_photo(tmp_path / "b.png").pixels, found.pixels)


# What is told


def test_several_images_in_one_file(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    for kind in ("gif", "webp", "tif", "png"):
        path = tmp_path / f"a.{kind}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        notes: list[str] = []
        image = read_photo(path, notes.append).pixels
        assert image[:, 0, 0].tolist() == pytest.approx([1, 0, 0], abs=0.03)
        assert [line for line in notes if "several images" in line]


def test_a_profile_of_other_colours_is_told(tmp_path: Path) -> None:
    profile = b"\0" * 16 + b"CMYK" + b"\0" * 108
    _, notes = photo(tmp_path / "a.tif", icc_profile=profile)
    assert [line for line in notes if "not for RGB" in line]


def test_losses_of_levels() -> None:
    plain, deep = Photo(torch.rand(3, 4, 4)), Photo(torch.rand(3, 4, 4), 16)
    assert losses("x.png", plain, "a") == losses("x.png", deep, "a") == []
    assert [line[:7] for line in losses("x.jpg", deep, "a")] == ["a: JPEG", "a: the "]
    assert losses("x.tif", plain, "a") == []
    assert "only .png keeps more than 8" in losses("x.webp", deep, "a")[0]


def test_what_no_format_can_hold_does_not_prevent_writing(tmp_path: Path) -> None:
    found = Photo(torch.rand(3, 4, 4), exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    for suffix in FORMATS:
        write_photo(tmp_path / f"x.{suffix}", found)
        assert opened(tmp_path / f"x.{suffix}").size == (4, 4)


@pytest.mark.parametrize(("suffix", "longest"), [("jpg", 65_500), ("webp", 16_383)])
def test_longest_side(suffix: str, longest: int) -> None:
    for height, width in ((1, longest), (longest, 1)):
        check_size(f"x.{suffix}", (height, width))
        Image.open(io.BytesIO(encode_photo(f"x.{suffix}", Photo(torch.rand(3, height, width)))))
    for size in ((1, longest + 1), (longest + 1, 1)):
        with pytest.raises(FiceError, match=f"at most {longest} pixels a side"):
            encode_photo(f"x.{suffix}", Photo(torch.rand(3, *size)))
        check_size("x.png", size)


# A JPEG file without its end


def jpeg(**options: Any) -> bytes:
    levels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 5}])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_end_marker_is_told(
    tmp_path: Path, options: dict[str, Any], missing: int
) -> None:
    whole = jpeg(**options)
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "cut.jpg").write_bytes(whole[:-missing])
    notes: list[str] = []
    image = read_photo(tmp_path / "cut.jpg", notes.append).pixels
    assert torch.equal(image, read_photo(tmp_path / "whole.jpg").pixels)
    assert len(notes) == 1
    told = "some details may be missing" if "progressive" in options else "all pixels are there"
    assert f"the end of the file is missing; {told}" in notes[0]


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("missing", [8, 40, 1000])
def test_missing_pixels_are_refused(tmp_path: Path, options: dict[str, Any], missing: int) -> None:
    (tmp_path / "cut.jpg").write_bytes(jpeg(**options)[:-missing])
    with pytest.raises(FiceError, match="damaged"):
        read_photo(tmp_path / "cut.jpg")
