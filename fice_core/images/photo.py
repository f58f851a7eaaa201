"""Reads and writes image files."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..errors import FiceError
from ..files import write_bytes
from . import png16
from .decoding import (
    READABLE,
    WITH_EXIF,
    RefusedImageError,
    composite_over_white,
    decode,
    open_image,
)

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
        decoded = decode(data)
        pixels, transparent = composite_over_white(decoded.levels)
    except RefusedImageError as refusal:
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
    if photo.exif and name in WITH_EXIF:
        options["exif"] = photo.exif
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(photo.pixels)).save(buffer, name, **options)
    return buffer.getvalue()


def stored_size(data: bytes) -> tuple[int, int] | None:
    """(H, W) from the header of an image file, before rotation; None if it is not an image."""
    try:
        image = open_image(data)
    except Exception:  # damaged files make the decoders raise anything
        return None
    return image.height, image.width


def is_image_file(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix of `path` is one of a format that `read_photo` reads."""
    return Image.registered_extensions().get(Path(path).suffix.lower()) in READABLE


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


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise FiceError(f"{path} is a folder; an image file was expected")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FiceError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FiceError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
