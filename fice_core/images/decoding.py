"""Decodes the bytes of image files into levels, upright, with their metadata."""

import io
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from . import png16

#: Larger images are refused. It is more than any camera takes; a small file can declare billions.
MAX_PIXELS = 100_000_000

# Plain raster formats only. Pillow would also start Ghostscript for PostScript.
READABLE = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "TGA", "AVIF")
# Not TIFF: there, the tags of the EXIF data also describe how the pixels are stored.
WITH_EXIF = ("PNG", "JPEG", "MPO", "WEBP", "AVIF")
_ORIENTATION = 0x0112
_EMPTY_EXIF = 20  # bytes of empty EXIF data, with its headers
_MAX_EXIF = 65_000  # bytes; a JPEG file cannot store more


class RefusedImageError(Exception):
    """The image cannot be read; the message continues a sentence that starts with the file's name."""


_Levels = NDArray[np.uint8] | NDArray[np.uint16]


class DecodedImage(NamedTuple):
    """A decoded image file.

    Attributes:
        levels: (H, W, 3 or 4) of 8 or 16 bits, upright; the fourth channel is alpha.
        profile: ICC profile of its colours; None if there is none, or it is not an RGB profile.
        exif: EXIF data without the orientation, or None.
        notes: lines for the user.
    """

    levels: _Levels
    profile: bytes | None
    exif: bytes | None
    notes: list[str]


def decode(data: bytes) -> DecodedImage:
    """The image in the bytes of a file.

    Raises:
        RefusedImageError: it is not an image, too large, or of an unsupported pixel type.
        Exception: of any kind, if the file is damaged.
    """
    image = open_image(data)
    notes = []
    if image.mode == "F":
        raise RefusedImageError("has floating point pixels; save it with 8 or 16 bits per channel")
    if image.format == "TIFF" and image.mode.startswith("RGB") and _bits_of_tiff(image) > 8:
        notes.append("only 8 bits per channel are read; a PNG keeps 16")
    levels: _Levels
    if png16.is_png16(image):
        levels = png16.decode(image, data)
    elif image.mode == "I" or image.mode.startswith("I;16"):
        levels = _grey16(image)
    else:
        image.load()  # only once: `convert` makes a copy
        levels = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    orientation, exif = 1, None
    try:
        orientation, exif = _read_exif(image)
    except Exception:  # damaged data makes Pillow raise anything
        notes.append("its EXIF data is damaged and ignored; the image is not rotated")
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or profile[16:20] != b"RGB ":
        profile = None
    return DecodedImage(_upright(levels, orientation), profile, exif, notes)


def open_image(data: bytes) -> ImageFile.ImageFile:
    """The opened image; its pixels are not decoded yet.

    Raises:
        RefusedImageError: it is empty, not an image, or too large.
    """
    if not data:
        raise RefusedImageError("is empty (0 bytes)")
    Image.init()
    formats = [name for name in READABLE if name in Image.OPEN]
    try:
        # Pillow's limits only warn; MAX_PIXELS is checked below, before anything is decoded.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        raise RefusedImageError(f"is not an image that FICE reads ({', '.join(formats)})") from None
    except Image.DecompressionBombError:
        raise RefusedImageError(f"has more than {MAX_PIXELS // 10**6} million pixels") from None
    if image.width * image.height > MAX_PIXELS:
        raise RefusedImageError(
            f"has {image.width} x {image.height} pixels, more than the {MAX_PIXELS // 10**6} "
            "million that are read"
        )
    return image


def _read_exif(image: Image.Image) -> tuple[int, bytes | None]:
    """Orientation, 0 to 8, and the rest of the EXIF data of a decoded image.

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
        if image.format not in WITH_EXIF or not exif:
            return orientation, None
        data = exif.tobytes()
    return orientation, data if len(data) <= _MAX_EXIF else None


def _upright(levels: _Levels, orientation: int) -> _Levels:
    """Levels (H, W, C) rotated upright by the EXIF orientation; 0 means unknown."""
    if orientation >= 5:
        levels = levels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        levels = levels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        levels = levels[::-1]
    return levels


def composite_over_white(levels: _Levels) -> tuple[NDArray[np.float32], bool]:
    """Levels (H, W, 3 or 4) as (3, H, W) in [0, 1] over white, and whether a pixel is transparent."""
    height, width, channels = levels.shape
    highest = np.float32(np.iinfo(levels.dtype).max)
    pixels = np.empty((3, height, width), np.float32)
    np.divide(levels[:, :, :3].transpose(2, 0, 1), highest, out=pixels)
    if channels == 3 or bool((levels[:, :, 3] == highest).all()):
        return pixels, False
    alpha = levels[:, :, 3] / highest
    pixels *= alpha
    pixels += 1 - alpha
    return pixels, True


def _bits_of_tiff(image: Image.Image) -> int:
    bits = image.getexif().get(0x0102, 8)  # BitsPerSample
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _grey16(image: Image.Image) -> NDArray[np.uint16]:
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > 65535:
        raise RefusedImageError("has 32-bit pixels; save it with 8 or 16 bits per channel")
    return levels.astype(np.uint16)[:, :, None].repeat(3, axis=2)
