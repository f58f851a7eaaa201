"""Reads and writes PNG files with 16 bits per channel.

Pillow reads only their high bytes and cannot write them. The writer follows the PNG specification. On a
photo of 12 megapixels, pypng took three times as long and its file was a third larger. OpenCV would be
a second copy beside those of other node packs.
"""

import io
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

# Pillow's raw modes that unpack the high bytes of 16-bit channels, and those for the low bytes.
_LOW_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "LA;16B": "RGBA"}
_DIFFERENCE_TO_ROW_ABOVE = 2  # the PNG filter "up"
_INCH = 0.0254  # metres
_FAST = 1  # compression level of zlib; 6 takes twice the time and saves a hundredth of the size


def is_png16(image: ImageFile.ImageFile) -> bool:
    """Whether an opened image, not yet decoded, is a 16-bit PNG of which Pillow would drop 8 bits."""
    return image.format == "PNG" and bool(image.tile) and image.tile[0][3] in _LOW_BYTES


def decode(image: ImageFile.ImageFile, data: bytes) -> NDArray[np.uint16]:
    """Levels (H, W, 3 or 4) in 0..65535 of a PNG that `is_png16`; the fourth channel is alpha.

    Args:
        image: the opened file; this call decodes it.
        data: the bytes of the file.
    """
    raw_mode = str(image.tile[0][3])
    if raw_mode == "LA;16B":  # the four bytes of a pixel are read as four channels
        pixels = _unpacked(image, "RGBA")
        levels = 256 * pixels[:, :, 0::2] + pixels[:, :, 1::2]
        return levels[:, :, [0, 0, 0, 1]]  # grey in each colour channel
    again = Image.open(io.BytesIO(data), formats=["PNG"])
    levels = _unpacked(image, raw_mode)
    levels *= 256
    levels += _unpacked(again, _LOW_BYTES[raw_mode])
    return levels


def _unpacked(image: ImageFile.ImageFile, raw_mode: str) -> NDArray[np.uint16]:
    codec, extents, offset, _ = image.tile[0]
    image.tile = [(codec, extents, offset, raw_mode)]  # type: ignore[list-item]
    return np.asarray(image).astype(np.uint16)


def encode(
    levels: NDArray[np.uint16],
    profile: bytes | None = None,
    exif: bytes | None = None,
    others: Iterable[tuple[bytes, bytes]] = (),
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """The bytes of a PNG file of levels (H, W, 3).

    Args:
        levels: 0 to 65535.
        profile, exif: a colour profile and EXIF data, if there are any.
        others: type and content of further chunks.
        dpi: pixels per inch, across and down.
    """
    height, width, _ = levels.shape
    rows = np.ascontiguousarray(levels, ">u2").view(np.uint8).reshape(height, 6 * width)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _DIFFERENCE_TO_ROW_ABOVE
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))]
    if profile:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)))
    chunks += [chunk for chunk in others if not (profile and chunk[0] == b"sRGB")]
    if dpi:
        across, down = (int(value / _INCH + 0.5) for value in dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    if exif:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks += [(b"IDAT", zlib.compress(filtered.data, _FAST)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
