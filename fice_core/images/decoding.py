"""Decodes the bytes of image files into levels, upright, with their metadata."""

import io
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from . import png16
from .metadata import Metadata, read_exif, read_metadata

#: Larger images are refused. It is more than any camera takes; a small file can declare billions.
MAX_PIXELS = 100_000_000

# Plain raster formats only. Pillow would also start Ghostscript for PostScript.
READABLE = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "TGA", "AVIF")
_END_OF_JPEG = b"\xff\xd9"
# What could follow a JPEG file that was cut. It changes an image of which a part is missing.
_PROBES = (b"", b"\x55" * 64, b"\x00" * 64, b"\xa7\x3c" * 32)


class RefusedImageError(Exception):
    """The image cannot be read; the message continues a sentence that starts with the file's name."""


_Levels = NDArray[np.uint8] | NDArray[np.uint16]


class DecodedImage(NamedTuple):
    """A decoded image file.

    Attributes:
        levels: (H, W, 3 or 4) of 8 or 16 bits, upright; the fourth channel is alpha.
        profile: ICC profile of its colours; None if there is none, or it is not an RGB profile.
        exif: EXIF data without the orientation, or None.
        metadata: what else the file says.
        notes: lines for the user about the pixels.
        lost: lines for the user about what of the metadata is left out.
    """

    levels: _Levels
    profile: bytes | None
    exif: bytes | None
    metadata: Metadata
    notes: list[str]
    lost: list[str]


def decode(data: bytes) -> DecodedImage:
    """The image in the bytes of a file.

    Raises:
        RefusedImageError: it is not an image, too large, or of an unsupported pixel type.
        Exception: of any kind, if the file is damaged.
    """
    image = open_image(data)
    notes, lost = [], []
    if image.mode == "F":
        raise RefusedImageError("has floating point pixels; save it with 8 or 16 bits per channel")
    if image.format == "TIFF" and image.mode.startswith("RGB") and _bits_of_tiff(image) > 8:
        notes.append("only 8 bits per channel are read; a PNG keeps 16")
    try:
        levels = _levels(image, data)
    except OSError:  # truncated
        if image.format not in ("JPEG", "MPO"):
            raise
        image, levels = _without_end(data)
        coarse = image.info.get("progressive")
        kept = "some details may be missing" if coarse else "all pixels are there"
        notes.append(f"the end of the file is missing; {kept}")
    if _has_more(image):
        notes.append("it holds several images, of which the first is read")
    orientation, exif, dpi = 1, None, None
    try:
        orientation, exif, dpi, thumbnail = read_exif(image)
        if thumbnail:
            lost.append("the thumbnail in its EXIF data shows the image as it was and is left out")
    except Exception:  # damaged data makes Pillow raise anything
        notes.append("its EXIF data is damaged and ignored; the image is not rotated")
    metadata = Metadata()
    try:
        metadata, names = read_metadata(image, data, orientation, dpi)
        lost += [f"its {name} is left out" for name in names]
    except Exception:
        lost.append("its texts or its resolution are damaged and left out, but not its EXIF data")
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        profile = None
    elif profile[16:20] != b"RGB ":
        lost.append("its colour profile is not for RGB and is left out, so colours may differ")
        profile = None
    return DecodedImage(_upright(levels, orientation), profile, exif, metadata, notes, lost)


def _levels(image: ImageFile.ImageFile, data: bytes) -> _Levels:
    """The levels of an opened image, (H, W, 3 or 4); they are decoded here."""
    if png16.is_png16(image):
        return png16.decode(image, data)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _grey16(image)
    image.load()  # only once: `convert` makes a copy
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _without_end(data: bytes) -> tuple[ImageFile.ImageFile, _Levels]:
    """The image in a JPEG file that lacks only its end marker, as cameras and downloads leave it.

    Raises:
        OSError: pixels are missing, too. Then the decoder makes up the rest of them from what follows.
    """
    whole = data.removesuffix(_END_OF_JPEG[:1])
    found = []
    for probe in _PROBES:
        image = open_image(whole + probe + _END_OF_JPEG)
        found.append((image, _levels(image, data)))
    if not all(np.array_equal(found[0][1], levels) for _, levels in found[1:]):
        raise OSError("pixels are missing")
    return found[0]


def _has_more(image: ImageFile.ImageFile) -> bool:
    """Whether the file holds frames or pages beside the one that is read."""
    try:
        if image.format == "TIFF":  # without a walk over millions of pages
            return bool(getattr(image, "tag_v2").next)  # noqa: B009
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second image does not concern the first
        return True


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
