"""IPTC data: caption, credit and keywords of the press go from file to file."""

import struct
from pathlib import Path

import pytest
from PIL import Image, IptcImagePlugin, PngImagePlugin, TiffImagePlugin

from fice_core.images import iptc
from fice_core.images.photo import Photo, losses, read_photo, write_photo


def record(number: int, value: bytes) -> bytes:
    """A record of the second section, by the standard's own layout."""
    return bytes([0x1C, 2, number]) + struct.pack(">H", len(value)) + value


CAPTION = record(120, "Mode à Paris".encode()) + record(80, b"Someone") + record(25, b"coat")
LONG = CAPTION + b"".join(record(25, b"%060d" % k) for k in range(2500))  # three segments of JPEG


def block(data: bytes, name: bytes = b"\0\0", before: bytes = b"") -> bytes:
    size = struct.pack(">I", len(data))
    return before + b"8BIM\x04\x04" + name + size + data + b"\0" * (len(data) % 2)


def segment(content: bytes) -> bytes:
    content = b"Photoshop 3.0\0" + content
    return b"\xff\xed" + struct.pack(">H", 2 + len(content)) + content


def photo(path: Path, **options: object) -> tuple[Photo, list[str]]:
    Image.new("RGB", (6, 4), (200, 30, 90)).save(path, **options)  # type: ignore[arg-type]
    notes: list[str] = []
    return read_photo(path, notes.append), notes


@pytest.mark.parametrize("data", [CAPTION, CAPTION[:-1] + b"!!", LONG])
@pytest.mark.parametrize("source", ["jpg", "tif", "png"])
@pytest.mark.parametrize("result", ["jpg", "tif", "png"])
def test_it_is_kept(tmp_path: Path, data: bytes, source: str, result: str) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[iptc.TAG] = data
    texts = PngImagePlugin.PngInfo()
    texts.add_text(iptc.PNG_TEXT, iptc.png_text(data))
    options = {
        "jpg": {"extra": iptc.jpeg_segments(data)},
        "tif": {"tiffinfo": tags},
        "png": {"pnginfo": texts},
    }
    found, notes = photo(tmp_path / f"a.{source}", **options[source])
    assert (found.metadata.iptc, notes) == (data, [])
    assert found.metadata.texts == {}
    write_photo(tmp_path / f"b.{result}", found)
    assert read_photo(tmp_path / f"b.{result}").metadata.iptc == data
    assert not [line for line in losses(f"b.{result}", found, "a") if "IPTC" in line]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_pillow_reads_the_same_records(tmp_path: Path, suffix: str) -> None:
    found, _ = photo(tmp_path / "a.jpg", extra=segment(block(CAPTION)))
    write_photo(tmp_path / f"b.{suffix}", found)
    with Image.open(tmp_path / f"b.{suffix}") as image:
        records = IptcImagePlugin.getiptcinfo(image)
    assert records == {(2, 120): "Mode à Paris".encode(), (2, 80): b"Someone", (2, 25): b"coat"}


def test_it_stands_beside_xmp(tmp_path: Path) -> None:
    found, _ = photo(tmp_path / "a.jpg", extra=segment(block(CAPTION)))
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    both = Photo(found.pixels, metadata=type(found.metadata)(xmp=xmp, iptc=CAPTION))
    write_photo(tmp_path / "b.jpg", both)
    metadata = read_photo(tmp_path / "b.jpg").metadata
    assert (metadata.xmp, metadata.iptc) == (xmp, CAPTION)


def test_resources_with_names_and_over_several_segments(tmp_path: Path) -> None:
    other = b"8BIM\x03\xed\x03abc" + struct.pack(">I", 3) + b"xyz\0"
    whole = block(CAPTION, b"\x04name\0", before=other)
    for cut in (15, 30, len(whole)):
        extra = segment(whole[:cut]) + (segment(whole[cut:]) if cut < len(whole) else b"")
        found, notes = photo(tmp_path / "a.jpg", extra=extra)
        assert (found.metadata.iptc, notes) == (CAPTION, [])


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tag_of_whole_numbers(tmp_path: Path, order: str) -> None:
    """The type that older programs wrote, of numbers in the order of the machine that wrote them."""
    padded = CAPTION + b"\0" * (-len(CAPTION) % 4)
    numbers = struct.unpack(f"{order}{len(padded) // 4}I", padded)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[iptc.TAG] = struct.pack(f"<{len(numbers)}I", *numbers)
    path = tmp_path / "a.tif"
    Image.new("RGB", (6, 4)).save(path, tiffinfo=tags)
    as_bytes = struct.pack("<HHI", iptc.TAG, 7, len(padded))
    as_numbers = struct.pack("<HHI", iptc.TAG, 4, len(numbers))
    assert path.read_bytes().count(as_bytes) == 1
    path.write_bytes(path.read_bytes().replace(as_bytes, as_numbers))
    assert read_photo(path).metadata.iptc == CAPTION


def test_damaged_data_are_told_and_the_rest_is_kept(tmp_path: Path) -> None:
    damaged = segment(b"8BIM\x04\x04\0\0" + struct.pack(">I", 1 << 30) + b"cut")
    exif = Image.Exif()
    exif[0x010F] = "camera"
    found, notes = photo(tmp_path / "a.jpg", extra=damaged, exif=exif, dpi=(300, 300))
    assert notes == [f"{tmp_path / 'a.jpg'}: its damaged IPTC data is left out"]
    assert found.exif is not None
    assert found.metadata.dpi == (300, 300)


@pytest.mark.parametrize(
    "extra",
    [
        b"8BIM\x04\x04\0\0" + struct.pack(">I", 1 << 30) + b"cut",
        b"8BIM\x04\x04\xff\0\0\0\x05a name",
    ],
)
def test_cut_resources_are_told(tmp_path: Path, extra: bytes) -> None:
    _, notes = photo(tmp_path / "a.jpg", extra=segment(extra))
    assert notes == [f"{tmp_path / 'a.jpg'}: its damaged IPTC data is left out"]


@pytest.mark.parametrize("text", ["no\nsuch\nthing\nxyz", "x", "\niptc\n 3\n000000\n"])
def test_damaged_texts_are_told(tmp_path: Path, text: str) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text(iptc.PNG_TEXT, text)
    texts.add_text("Title", "hello")
    found, notes = photo(tmp_path / "a.png", pnginfo=texts)
    assert [line for line in notes if "damaged IPTC" in line]
    assert found.metadata.texts == {"Title": "hello"}


def test_a_text_of_bare_records(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text(iptc.PNG_TEXT, f"\niptc\n{len(CAPTION):8}\n{CAPTION.hex()}\n")
    found, notes = photo(tmp_path / "a.png", pnginfo=texts)
    assert (found.metadata.iptc, notes) == (CAPTION, [])


def test_exif_data_in_a_text_is_of_the_image_as_it_was(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Raw profile type APP1", "\nexif\n 4\n45786966\n")
    found, notes = photo(tmp_path / "a.png", pnginfo=texts)
    assert [line for line in notes if "APP1" in line]
    assert found.metadata.texts == {}


@pytest.mark.parametrize("suffix", ["webp", "bmp"])
def test_what_has_no_room_says_so(tmp_path: Path, suffix: str) -> None:
    found, _ = photo(tmp_path / "a.jpg", extra=segment(block(CAPTION)))
    assert losses(f"b.{suffix}", found, "a") == [
        f"a: a .{suffix} file has no room for its IPTC data, left out"
    ]
    write_photo(tmp_path / f"b.{suffix}", found)
