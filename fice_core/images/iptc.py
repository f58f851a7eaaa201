"""IPTC data: caption, credit and keywords of the press. Read from and written to JPEG, TIFF and PNG files.

In a JPEG file it is a resource of Photoshop's, in one APP13 segment or in several that continue each
other. In a PNG file the same resource is a text in hexadecimal digits, as ImageMagick and ExifTool
write it. A TIFF file has a tag for it.
"""

import re
import struct
from collections.abc import Iterator
from typing import Any

from PIL import Image

TAG = 33723  # of TIFF
PNG_TEXT = "Raw profile type iptc"
_PHOTOSHOP, _RESOURCE, _KIND = b"Photoshop 3.0\0", b"8BIM", 0x0404
_MAX_SEGMENT = 65_533  # bytes
_MARKER = 0x1C  # the first byte of every record


def read(image: Image.Image) -> bytes | None:
    """The IPTC data of an opened image; None if it has none.

    Raises:
        Exception: of any kind, if the data is damaged.
    """
    found = None
    if image.format in ("JPEG", "MPO"):
        parts = [
            content.removeprefix(_PHOTOSHOP)
            for name, content in getattr(image, "applist", ())
            if name == "APP13" and content.startswith(_PHOTOSHOP)
        ]
        found = _resource(b"".join(parts))
    elif image.format == "TIFF":
        found = _of_tag(getattr(image, "tag_v2", None))
    elif image.format == "PNG" and PNG_TEXT in (texts := getattr(image, "text", {})):
        digits = re.sub(r"\s", "", texts[PNG_TEXT].split("\n", 3)[3])
        data = bytes.fromhex(digits).removeprefix(_PHOTOSHOP)
        found = data if data[:1] == bytes([_MARKER]) else _resource(data)
        if found is None:
            raise ValueError("there is none")
    return found or None


def jpeg_segments(data: bytes) -> bytes:
    """The data as segments of a JPEG file."""
    resource = _as_resource(data)
    room = _MAX_SEGMENT - len(_PHOTOSHOP)
    parts = [resource[start : start + room] for start in range(0, len(resource), room)]
    return b"".join(
        b"\xff\xed" + struct.pack(">H", 2 + len(_PHOTOSHOP + part)) + _PHOTOSHOP + part
        for part in parts
    )


def png_text(data: bytes) -> str:
    """The data as a text of a PNG file, for the keyword `PNG_TEXT`."""
    resource = _as_resource(data)
    lines = (resource[start : start + 36].hex() for start in range(0, len(resource), 36))
    return f"\niptc\n{len(resource):8}\n" + "\n".join(lines) + "\n"


def _as_resource(data: bytes) -> bytes:
    name = b"\0\0"  # empty, padded to an even size
    padding = b"\0" * (len(data) % 2)
    return (
        _RESOURCE + struct.pack(">H", _KIND) + name + struct.pack(">I", len(data)) + data + padding
    )


def _resource(block: bytes) -> bytes | None:
    """The IPTC data among Photoshop's resources."""
    return next((data for kind, data in _resources(block) if kind == _KIND), None)


def _resources(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each resource; ValueError if one is cut."""
    place = 0
    while block[place : place + 4] == _RESOURCE and place + 12 <= len(block):
        (kind,) = struct.unpack_from(">H", block, place + 4)
        name = 1 + block[place + 6]
        place += 6 + name + name % 2
        if place + 4 > len(block):
            raise ValueError("a resource is cut")
        (size,) = struct.unpack_from(">I", block, place)
        place += 4
        if place + size > len(block):
            raise ValueError("a resource is cut")
        yield kind, block[place : place + size]
        place += size + size % 2


def _of_tag(tags: Any) -> bytes | None:
    """The content of the tag. Pillow decodes only the first of several whole numbers, a type that old
    programs use, some of which write their bytes in the wrong order."""
    data: bytes = getattr(tags, "_tagdata", {}).get(TAG) or b""
    if data and data[0] != _MARKER and len(data) % 4 == 0:
        swapped = struct.pack(f">{len(data) // 4}I", *struct.unpack(f"<{len(data) // 4}I", data))
        data = swapped if swapped[0] == _MARKER else data
    return data.rstrip(b"\0") or None
