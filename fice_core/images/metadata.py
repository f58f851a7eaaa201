"""What an image file says beside its pixels: read from any format, stored where the format has room.

Nothing is dropped in silence: what is read and has no place in the new file is named by `left_out`, and
what no new file can hold by `read_metadata`.
"""

import io
import math
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image, ImageFile, PngImagePlugin, TiffImagePlugin

from . import iptc

# EXIF tags, see ExifTags.Base.
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
_EXIF, _GPS, _MAKER_NOTE, _XMP = 0x8769, 0x8825, 0x927C, 700
_SIZES = ((0x0100, 0x0101), (0xA002, 0xA003))  # across, down
# In a TIFF file the other tags describe how its pixels are stored: title, description, camera, page,
# software, date, author, computer, rating, copyright, Windows' texts, and the two blocks.
_OF_CONTENT = {269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 33432, _EXIF, _GPS}
_OF_CONTENT |= set(range(40091, 40096))

# Not GIF, BMP, PPM, TGA: they have no EXIF data.
WITH_EXIF = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "TIFF")
_EMPTY_EXIF = 20  # bytes of empty EXIF data, with its headers
_MAX_SEGMENT = 65_533  # bytes of EXIF data, XMP or a comment in a JPEG file
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_LONG_XMP_SEGMENT = b"http://ns.adobe.com/xmp/extension/\0"
_XMP_TEXT, _EXIF_TEXT, _COMMENT = "XML:com.adobe.xmp", "Raw profile type exif", "Comment"
_APP1_TEXT = "Raw profile type APP1"
_XMP_TURNED = {
    b"tiff:XResolution": b"tiff:YResolution",
    b"tiff:YResolution": b"tiff:XResolution",
}
_XMP_RESOLUTIONS = re.compile(b"|".join(_XMP_TURNED))
# Names across and down. A value is an attribute or the text of an element.
_XMP_SIZES = (rb"exif:PixelXDimension|tiff:ImageWidth", rb"exif:PixelYDimension|tiff:ImageLength")
_XMP_VALUE = rb"((?:%s)\s*(?:=\s*[\"']|>\s*))%s"
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"cICP", b"sRGB")

Chunks = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Metadata:
    """Metadata of an image beside its colour profile and EXIF data.

    Attributes:
        xmp: an XMP packet that says that the pixels are upright.
        dpi: pixels per inch, across and down.
        texts: by keyword, as in PNG files; the comment of a JPEG or GIF file is "Comment".
        colour: chunks of a PNG file that say how its levels are to be shown.
        iptc: caption, credit and keywords as the press has them.
    """

    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    colour: Chunks = ()
    iptc: bytes | None = None


def read_exif(image: Image.Image) -> tuple[int, bytes | None, tuple[float, float] | None, bool]:
    """What the EXIF data of a decoded image says.

    Returns:
        The orientation, 0 to 8; the rest of the data, for the upright image; pixels per inch; and whether
        there is a thumbnail, which is not in the rest: it shows the image as it was.

    Raises:
        Exception: of any kind, if the data is damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow only warns of some damage
        exif = image.getexif()
        if not exif and len(image.info.get("exif") or b"") > _EMPTY_EXIF:
            raise ValueError("no tag can be read")
        orientation = exif.pop(_ORIENTATION, 1)
        if not isinstance(orientation, int) or not 0 <= orientation <= 8:
            raise ValueError(f"orientation {orientation!r}")
        if image.format not in WITH_EXIF:
            return orientation, None, None, False
        dpi = _resolution(exif)
        thumbnail = image.format != "TIFF" and _has_thumbnail(exif)
        if image.format == "TIFF":
            exif = _of_content(exif)
        turned, size = _is_turned(image, orientation), _upright_size(image, orientation)
        for block in (exif, _block(exif, _EXIF)):
            if turned and _X_RESOLUTION in block and _Y_RESOLUTION in block:
                across, down = block[_X_RESOLUTION], block[_Y_RESOLUTION]
                block[_X_RESOLUTION], block[_Y_RESOLUTION] = down, across
            for tags in _SIZES:
                for tag, pixels in zip(tags, size, strict=True):
                    if block.get(tag, pixels) != pixels:
                        block[tag] = pixels
        return orientation, exif.tobytes() if exif else None, dpi, thumbnail


def _is_turned(image: Image.Image, orientation: int) -> bool:
    """Whether the upright image lies across the stored one. A TIFF file is turned as it is loaded."""
    stored = getattr(image, "tag_v2", {}).get(0x0100, image.width)
    return orientation >= 5 or bool(stored != image.width)


def _upright_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    """(W, H) of the upright image. A TIFF file is turned as it is loaded."""
    return image.size[::-1] if orientation >= 5 else image.size


def read_metadata(
    image: ImageFile.ImageFile,
    data: bytes,
    orientation: int,
    exif_dpi: tuple[float, float] | None,
) -> tuple[Metadata, list[str]]:
    """The metadata of a decoded image, and names of what no new file can hold.

    Args:
        image: the image; its pixels are loaded.
        data: the bytes of its file.
        orientation, exif_dpi: from `read_exif`.

    Raises:
        Exception: of any kind, if the data is damaged.
    """
    info, lost = image.info, []
    turned = _is_turned(image, orientation)
    texts = dict(getattr(image, "text", None) or {}) if image.format == "PNG" else {}
    tags = getattr(image, "tag_v2", {})
    # Pillow before 11 does not look for that of a TIFF
    xmp: Any = texts.pop(_XMP_TEXT, None) or info.get("xmp") or tags.get(_XMP)
    texts.pop(_EXIF_TEXT, None)  # it has been read, and its orientation no longer holds
    comment = info.get("comment")
    if isinstance(comment, bytes) and comment.strip(b"\0 "):
        texts[_COMMENT] = _decoded(comment.rstrip(b"\0"))
    segments = [content for name, content in getattr(image, "applist", ()) if name == "APP1"]
    for content in segments:
        if content.startswith(_XMP_SEGMENT):  # Pillow before 11 does not look for it
            xmp = content.removeprefix(_XMP_SEGMENT)
    if any(content.startswith(_LONG_XMP_SEGMENT) for content in segments):
        lost.append("second part of its XMP")
    press = None
    try:
        press = iptc.read(image)
    except Exception:  # the rest may be sound
        lost.append("damaged IPTC data")
    texts.pop(iptc.PNG_TEXT, None)
    if texts.pop(_APP1_TEXT, None):
        lost.append(f"text {_APP1_TEXT!r}, EXIF data or XMP of the image as it was stored,")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    elif isinstance(xmp, tuple):
        xmp = bytes(xmp)
    dpi = _stored_dpi(image) or exif_dpi
    if dpi is not None and turned:
        dpi = dpi[::-1]
    colour = _colour_chunks(data) if image.format == "PNG" else ()
    packet = _upright(xmp, turned, _upright_size(image, orientation)) if xmp else None
    return Metadata(packet, dpi, texts, colour, press), lost


def save_options(
    kind: str, profile: bytes | None, exif: bytes | None, metadata: Metadata
) -> tuple[dict[str, Any], list[str]]:
    """Pillow's options that store all that a format has room for, and the names of what is left out.

    Args:
        kind: Pillow's name of the format.
    """
    rest, stored = dict(_items(kind, profile, exif, metadata)), dict[str, Any]()
    left: list[str] = []
    while rest:
        if len(left) < 8 and _can_store(kind, stored | rest):  # all at once: there may be thousands
            stored |= rest
            break
        name = next(iter(rest))
        value = rest.pop(name)
        if _can_store(kind, stored | {name: value}):
            stored[name] = value
            continue
        if name == "EXIF data" and kind == "JPEG":
            value, dropped = _shrunk(value, stored)
            if value is not None:
                stored[name] = value
                left.append(f"EXIF tags {', '.join(dropped)}")
                continue
        left.append(name)
    return _options(kind, stored), left


def _items(
    kind: str, profile: bytes | None, exif: bytes | None, metadata: Metadata
) -> Iterator[tuple[str, Any]]:
    """What is to be stored, by the name that a user is told."""
    if profile:
        yield "colour profile", profile
    if exif and kind == "TIFF":  # Pillow cannot compress it and write blocks of tags
        tags = _tags(exif)
        blocks = {_EXIF, _GPS}.intersection(tags)
        if len(blocks) < len(tags):
            yield "EXIF data", {tag: tags[tag] for tag in tags if tag not in blocks}
        if blocks:
            yield "EXIF data of exposure and place", None
    elif exif:
        yield "EXIF data", exif
    if metadata.dpi:
        yield "resolution", metadata.dpi
    if metadata.xmp:
        yield "XMP", metadata.xmp
    if metadata.iptc:
        yield "IPTC data", metadata.iptc
    colour = dict(metadata.colour)
    if colour and (kind == "PNG" or not (b"sRGB" in colour or profile)):
        yield "gamma", metadata.colour
    for key, text in metadata.texts.items():
        yield f"text {key!r}", (key, text)


def _options(kind: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Options of Pillow's `save`.

    Raises:
        Exception: of any kind, if the format has no room for one of them.
    """
    rest = dict(stored)
    profile, exif = rest.pop("colour profile", None), rest.pop("EXIF data", None)
    dpi, xmp = rest.pop("resolution", None), rest.pop("XMP", None)
    press = rest.pop("IPTC data", None)
    options: dict[str, Any] = {"icc_profile": profile} if profile else {}
    if kind == "PNG":
        options |= {"exif": exif} if exif else {}
        info = PngImagePlugin.PngInfo()
        for chunk in rest.pop("gamma", ()):
            info.add(*chunk)
        if xmp:
            info.add_itxt(_XMP_TEXT, xmp.decode())
        if press:
            info.add_text(iptc.PNG_TEXT, iptc.png_text(press), zip=True)
        for key, text in rest.values():
            info.add_text(key, text)
        options |= {"pnginfo": info} if info.chunks else {}
        return options | ({"dpi": dpi} if dpi else {})
    if kind == "JPEG":
        if exif:
            _require(len(exif) <= _MAX_SEGMENT)
            options["exif"] = exif
        if dpi:
            options["dpi"] = tuple(max(1, min(65535, round(value))) for value in dpi)
        if xmp:
            _require(len(_XMP_SEGMENT + xmp) <= _MAX_SEGMENT)
            size = struct.pack(">H", 2 + len(_XMP_SEGMENT + xmp))
            options["extra"] = b"\xff\xe1" + size + _XMP_SEGMENT + xmp
        if press:
            options["extra"] = options.get("extra", b"") + iptc.jpeg_segments(press)
        _, comment = rest.pop(f"text {_COMMENT!r}", (None, ""))
        if comment:
            _require(len(comment.encode()) <= _MAX_SEGMENT)
            options["comment"] = comment.encode()
    elif kind == "WEBP":
        _require(not press)
        exif = _with_resolution(exif, dpi) if dpi else exif
        options |= {"exif": exif} if exif else {}
        options |= {"xmp": xmp} if xmp else {}
    elif kind == "TIFF":
        tags: Any = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, value in (exif or {}).items():
            tags[tag] = value
        if xmp:
            tags[_XMP] = xmp
        if press:
            tags[iptc.TAG] = press
        options |= {"tiffinfo": tags} if len(tags) else {}
        options |= {"dpi": dpi} if dpi else {}
    else:  # BMP
        _require(not profile and not exif and not xmp and not press)
        options |= {"dpi": dpi} if dpi else {}
    _require(not rest)
    return options


def _can_store(kind: str, stored: Mapping[str, Any]) -> bool:
    """Whether an image can be saved with this: a tiny one is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.new("RGB", (1, 1)).save(io.BytesIO(), kind, **_options(kind, stored))
    except Exception:  # of any kind: what a file holds is not what the format's rules say
        return False
    return True


def _shrunk(exif: bytes, stored: Mapping[str, Any]) -> tuple[bytes | None, list[str]]:
    """EXIF data that a JPEG file has room for, without the largest tags, first the maker's; their names.

    The data are None if nothing fits.
    """
    block = _loaded(exif)
    parts = [_block(block, _EXIF), _block(block, _GPS), block]
    sized = [
        (tag == _MAKER_NOTE, len(value), tag, part)
        for part in parts
        for tag, value in dict(part).items()
        if isinstance(value, bytes | str | tuple)
    ]
    dropped = []
    for _, _, tag, part in sorted(sized, key=lambda item: item[:2], reverse=True):
        del part[tag]
        dropped.append(ExifTags.TAGS.get(tag, hex(tag)))
        data = block.tobytes()
        if _can_store("JPEG", {**stored, "EXIF data": data}):
            return data, dropped
    return None, []


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError("no room")


def _loaded(exif: bytes) -> Image.Exif:
    block = Image.Exif()
    block.load(exif)
    return block


def _tags(exif: bytes) -> dict[int, Any]:
    """The tags that say something of the photo; none of damaged data."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return dict(_of_content(_loaded(exif)))
    except Exception:
        return {}


def _of_content(exif: Image.Exif) -> Image.Exif:
    """The tags that say something of the photo, not of how its pixels are stored."""
    kept = Image.Exif()
    for tag in sorted(_OF_CONTENT.intersection(exif)):
        kept[tag] = _block(exif, tag) if tag in (_EXIF, _GPS) else exif[tag]
    return kept


def _block(exif: Image.Exif, tag: int) -> Any:
    """A block of tags within EXIF data; an empty one if it has none."""
    if tag not in exif:
        return {}  # Pillow would add it
    return exif[tag] if isinstance(exif[tag], dict) else exif.get_ifd(tag)


def _has_thumbnail(exif: Image.Exif) -> bool:
    try:
        return bool(exif.get_ifd(ExifTags.IFD.IFD1))
    except Exception:  # it is left out in any case
        return True


def _with_resolution(exif: bytes | None, dpi: tuple[float, float]) -> bytes:
    """EXIF data with a resolution; one that it has is kept."""
    block = _loaded(exif) if exif else Image.Exif()
    if _X_RESOLUTION in block:
        assert exif is not None
        return exif
    block[_X_RESOLUTION], block[_Y_RESOLUTION] = dpi
    block[_RESOLUTION_UNIT] = 2  # inch
    return block.tobytes()


def _resolution(exif: Image.Exif) -> tuple[float, float] | None:
    """Pixels per inch by the tags of EXIF data."""
    unit = {2: 1.0, 3: 2.54}.get(exif.get(_RESOLUTION_UNIT, 2))
    across, down = exif.get(_X_RESOLUTION), exif.get(_Y_RESOLUTION)
    if unit is None or across is None or down is None:
        return None
    try:
        return _positive(float(across) * unit, float(down) * unit)
    except (TypeError, ValueError, ArithmeticError):  # the rest of the data may be sound
        return None


def _stored_dpi(image: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch by the format's own field."""
    made_up = (
        image.info.get("jfif_unit") not in (1, 2) if image.format in ("JPEG", "MPO") else False
    )
    if made_up or image.format == "TIFF":  # its field is a tag, see `_resolution`
        return None
    found = image.info.get("dpi")
    return _positive(*map(float, found)) if found else None


def _positive(across: float, down: float) -> tuple[float, float] | None:
    sound = all(math.isfinite(value) and 0 < value < 1e6 for value in (across, down))
    return (across, down) if sound else None


def _upright(xmp: bytes, turned: bool, size: tuple[int, int]) -> bytes:
    """An XMP packet that says that the pixels are upright, and that there are (W, H) of them."""
    xmp = re.sub(_XMP_VALUE % (rb"tiff:Orientation", rb"\d"), rb"\g<1>1", xmp)
    for names, pixels in zip(_XMP_SIZES, size, strict=True):
        xmp = re.sub(_XMP_VALUE % (names, rb"\d+"), rb"\g<1>%d" % pixels, xmp)
    return _XMP_RESOLUTIONS.sub(lambda match: _XMP_TURNED[match[0]], xmp) if turned else xmp


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _colour_chunks(data: bytes) -> Chunks:
    """The chunks of a PNG file that say how its levels are to be shown."""
    found, place = [], 8
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"IDAT":
            break
        if kind in _COLOUR_CHUNKS and size <= 64:
            found.append((kind, data[place + 8 : place + 8 + size]))
        place += 12 + size
    return tuple(found)
