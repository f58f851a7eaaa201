"""Reads and writes image files."""

import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from ..errors import FiceError
from ..files import write_bytes
from . import png16

#: Larger images are refused. It is more than any camera takes; a small file can declare billions.
MAX_PIXELS = 100_000_000

# Plain raster formats only. Pillow would also start Ghostscript for PostScript.
_READABLE = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "TGA", "AVIF")
_WRITABLE: dict[str, tuple[str, dict[str, object]]] = {  # suffix: (format, options)
    ".png": ("PNG", {}),
    ".webp": ("WEBP", {"lossless": True}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
}
_LOSSY = (".jpg", ".jpeg")
# Not TIFF: there, the tags of the EXIF data also describe how the pixels are stored.
_WITH_EXIF = ("PNG", "JPEG", "MPO", "WEBP", "AVIF")
_ORIENTATION = 0x0112
_EMPTY_EXIF = 20  # bytes of empty EXIF data, with its headers
_MAX_EXIF = 65_000  # bytes; a JPEG file cannot store more


@dataclass(frozen=True, eq=False)
class Photo:
    """An image and the metadata of its file.

    Attributes:
        pixels: (3, H, W) float32 in [0, 1]; level k of n bits is k / (2^n - 1).
        bits: bits per channel, 8 or 16.
        profile: ICC profile of its colours; None if there is none, or it is not an RGB profile.
        exif: EXIF data without the orientation, which is already applied to `pixels`.
    """

    pixels: torch.Tensor
    bits: int = 8
    profile: bytes | None = None
    exif: bytes | None = None


def read_image(
    path: str | os.PathLike[str], note: Callable[[str], None] | None = None
) -> torch.Tensor:
    """The pixels of `read_photo`: (3, H, W) float32 in [0, 1]."""
    return read_photo(path, note).pixels


def read_photo(path: str | os.PathLike[str], note: Callable[[str], None] | None = None) -> Photo:
    """The image in a file, rotated upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit images become RGB; a PNG keeps its 16 bits. Transparent pixels are
    composited over white. Of an animation, the first frame is read.

    Args:
        path: a PNG, JPEG, WebP, BMP, GIF, TIFF, PPM, TGA or (if Pillow supports it) AVIF file.
        note: called with one line for everything that the user should know about the file.

    Returns:
        The image; `write_photo` writes the same levels.

    Raises:
        FiceError: the file is missing, a folder, not an image, damaged or too large, or has floating
            point or 32-bit pixels.
    """
    path = Path(path)
    return decode_photo(_read_bytes(path), path, note)


def decode_photo(
    data: bytes, path: str | os.PathLike[str], note: Callable[[str], None] | None = None
) -> Photo:
    """The image in the bytes of a file, as `read_photo`; `path` is its name in messages."""
    try:
        decoded = _decode(data)
        pixels, transparent = _pixels(decoded.levels)
    except _Refused as refusal:
        raise FiceError(f"{path} {refusal}") from None
    except MemoryError as error:
        raise FiceError(f"{path} does not fit into memory") from error
    except Exception as error:  # damaged files make the decoders raise anything
        raise FiceError(f"{path} is damaged: the image in it cannot be decoded") from error
    notes = [*decoded.notes, *(["its transparent pixels are composited over white"] * transparent)]
    if note is not None:
        for line in notes:
            note(f"{path}: {line}")
    # Outside of inference mode, so that the image can be used with gradients.
    with torch.inference_mode(False):
        tensor = torch.from_numpy(pixels)
    bits = 16 if decoded.levels.dtype == np.uint16 else 8
    return Photo(tensor, bits, decoded.profile, decoded.exif)


def write_image(path: str | os.PathLike[str], image: torch.Tensor) -> None:
    """Write pixels (3, H, W) with 8 bits per channel, see `write_photo`."""
    write_photo(path, Photo(image))


def write_photo(path: str | os.PathLike[str], photo: Photo) -> None:
    """Write an image; the file appears whole or not at all.

    Args:
        path: the suffix selects the format: .png, .webp, .bmp and .tif are lossless, .jpg is not.
        photo: values are clamped to [0, 1] and rounded. A .png can have 16 bits, other formats have 8.
            BMP stores no profile, and BMP and TIFF no EXIF data.

    Raises:
        FiceError: the suffix is unknown, or the file cannot be written.
        ValueError: the pixels have the wrong shape or type, or NaN.
    """
    write_bytes(path, encode_photo(path, photo))


def encode_photo(path: str | os.PathLike[str], photo: Photo) -> bytes:
    """The bytes that `write_photo` writes."""
    name, options = _WRITABLE[check_suffix(path)]
    if photo.bits == 16 and name == "PNG":
        levels = _to_levels(photo.pixels, 65535).astype(np.uint16)
        return png16.encode(levels, photo.profile, photo.exif)
    options = {**options, "icc_profile": photo.profile}
    if photo.exif and name in _WITH_EXIF:
        options["exif"] = photo.exif
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(photo.pixels)).save(buffer, name, **options)
    return buffer.getvalue()


def stored_size(data: bytes) -> tuple[int, int] | None:
    """(H, W) from the header of an image file, before rotation; None if it is not an image."""
    try:
        image = _open(data)
    except Exception:  # damaged files make the decoders raise anything
        return None
    return image.height, image.width


def is_image_file(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix of `path` is one of a format that `read_photo` reads."""
    return Image.registered_extensions().get(Path(path).suffix.lower()) in _READABLE


def keeps_16_bits(path: str | os.PathLike[str]) -> bool:
    """Whether `write_photo` can write 16 bits per channel to `path`."""
    return Path(path).suffix.lower() == ".png"


def to_bytes(image: torch.Tensor) -> np.ndarray:
    """An image (3, H, W) in [0, 1] as (H, W, 3) uint8.

    Raises:
        ValueError: the image has the wrong shape or type, or NaN.
    """
    return _to_levels(image, 255).astype(np.uint8)


def _to_levels(image: torch.Tensor, highest: int) -> NDArray[np.float32]:
    """An image (3, H, W) in [0, 1] as (H, W, 3) integers from 0 to `highest`, in float32."""
    if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
        raise ValueError(
            f"an image must be (3, H, W) floating point, not {tuple(image.shape)} {image.dtype}"
        )
    if bool(image.isnan().any()):
        raise ValueError("the image has NaN pixels")
    levels = image.detach().float().clamp(0, 1).mul_(highest).round_()
    result: NDArray[np.float32] = levels.permute(1, 2, 0).cpu().numpy()
    return result


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The lower-case suffix of `path`, if images can be written to it.

    Raises:
        FiceError: the suffix belongs to no format that can be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITABLE:
        raise FiceError(
            f"cannot tell the image format of {path}: end its name in {', '.join(_WRITABLE)}"
        )
    return suffix


def is_lossy(path: str | os.PathLike[str]) -> bool:
    """Whether writing to `path` changes pixels, because its format is lossy."""
    return Path(path).suffix.lower() in _LOSSY


class _Refused(Exception):
    """The image cannot be read; the message continues a sentence that starts with the file's name."""


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise FiceError(f"{path} is a folder; an image file was expected")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FiceError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FiceError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error


_Levels = NDArray[np.uint8] | NDArray[np.uint16]


class _Decoded(NamedTuple):
    """(H, W, 3 or 4) levels of 8 or 16 bits, upright; the fourth channel is alpha."""

    levels: _Levels
    profile: bytes | None
    exif: bytes | None
    notes: list[str]


def _decode(data: bytes) -> _Decoded:
    image = _open(data)
    notes = []
    if image.mode == "F":
        raise _Refused("has floating point pixels; save it with 8 or 16 bits a channel")
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
    return _Decoded(_upright(levels, orientation), profile, exif, notes)


def _open(data: bytes) -> ImageFile.ImageFile:
    """The opened image; its pixels are not decoded yet."""
    if not data:
        raise _Refused("is empty (0 bytes)")
    Image.init()
    formats = [name for name in _READABLE if name in Image.OPEN]
    try:
        # Pillow's limits only warn; MAX_PIXELS is checked below, before anything is decoded.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        raise _Refused(f"is not an image that FICE reads ({', '.join(formats)})") from None
    except Image.DecompressionBombError:
        raise _Refused(f"has more than {MAX_PIXELS // 10**6} million pixels") from None
    if image.width * image.height > MAX_PIXELS:
        raise _Refused(
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
        if image.format not in _WITH_EXIF or not exif:
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


def _pixels(levels: _Levels) -> tuple[NDArray[np.float32], bool]:
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
        raise _Refused("has 32-bit pixels; save it with 8 or 16 bits a channel")
    return levels.astype(np.uint16)[:, :, None].repeat(3, axis=2)
