"""Reads and writes image files."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..errors import FiceError
from ..files import read_bytes, some_of, write_bytes
from . import png16
from .decoding import (
    READABLE,
    DecodedImage,
    RefusedImageError,
    composite_over_white,
    decode,
    open_image,
)
from .metadata import Metadata, save_options

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
_LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # pixels a side; the others hold all that is read


@dataclass(frozen=True, eq=False)
class Photo:
    """An image and the metadata of its file.

    Attributes:
        pixels: (3, H, W) float32 in [0, 1]; level k of n bits is k / (2^n - 1).
        bits: bits per channel, 8 or 16.
        profile: ICC profile of its colours; None if there is none, or it is not an RGB profile.
        exif: EXIF data without the orientation, which is already applied to `pixels`.
        metadata: what else the file says.
    """

    pixels: torch.Tensor
    bits: int = 8
    profile: bytes | None = None
    exif: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)


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
    return decode_photo(read_bytes(path, "an image file"), path, note)


def decode_photo(
    data: bytes, path: str | os.PathLike[str], note: Callable[[str], None] | None = None
) -> Photo:
    """The image in the bytes of a file, as `read_photo`; `path` is its name in messages."""
    decoded = decode_file(data, path)
    with naming(path):
        pixels, transparent = composite_over_white(decoded.levels)
    notes = [*decoded.notes, *decoded.lost]
    if transparent:
        notes.append("its transparent pixels are composited over white")
    if note is not None:
        for line in notes:
            note(f"{path}: {line}")
    # Outside of inference mode, so that the image can be used with gradients.
    with torch.inference_mode(False):
        tensor = torch.from_numpy(pixels)
    bits = 16 if decoded.levels.dtype == np.uint16 else 8
    return Photo(tensor, bits, decoded.profile, decoded.exif, decoded.metadata)


def decode_file(data: bytes, path: str | os.PathLike[str]) -> DecodedImage:
    """The levels in the bytes of a file; `path` is its name in messages.

    Raises:
        FiceError: they cannot be decoded.
    """
    with naming(path):
        return decode(data)


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise any error of the decoders as a `FiceError` that names the file."""
    try:
        yield
    except RefusedImageError as refusal:
        raise FiceError(f"{path} {refusal}") from None
    except FiceError:
        raise
    except MemoryError as error:
        raise FiceError(f"{path} does not fit into memory") from error
    except Exception as error:  # damaged files make the decoders raise anything
        raise FiceError(f"{path} is damaged: the image in it cannot be decoded") from error


def write_image(path: str | os.PathLike[str], image: torch.Tensor) -> None:
    """Write pixels (3, H, W) with 8 bits per channel, see `write_photo`."""
    write_photo(path, Photo(image))


def write_photo(path: str | os.PathLike[str], photo: Photo) -> None:
    """Write an image; the file appears whole or not at all.

    Args:
        path: the suffix selects the format: .png, .webp, .bmp and .tif are lossless, .jpg is not.
        photo: values are clamped to [0, 1] and rounded. A .png can have 16 bits, other formats have 8.
            What a format has no room for is left out, see `losses`.

    Raises:
        FiceError: the suffix is unknown, the format cannot hold the image, or the file cannot be written.
        ValueError: the pixels have the wrong shape or type, or NaN.
    """
    write_bytes(path, encode_photo(path, photo))


def encode_photo(path: str | os.PathLike[str], photo: Photo) -> bytes:
    """The bytes that `write_photo` writes."""
    height, width = photo.pixels.shape[-2:]
    check_size(path, (height, width))
    name, options = _WRITABLE[check_suffix(path)]
    more, _ = save_options(name, photo.profile, photo.exif, photo.metadata)
    if photo.bits == 16 and name == "PNG":
        levels = _to_levels(photo.pixels, 65535).astype(np.uint16)
        chunks = more["pnginfo"].chunks if "pnginfo" in more else []
        others = [(chunk[0], chunk[1]) for chunk in chunks]
        exif, dpi = more.get("exif"), more.get("dpi")
        return png16.encode(levels, more.get("icc_profile"), exif, others, dpi)
    image, buffer = Image.fromarray(to_bytes(photo.pixels)), io.BytesIO()
    try:
        image.save(buffer, name, **options, **more)
    except (OSError, ValueError) as error:  # what the encoder refuses
        raise FiceError(f"the image cannot be stored as {name} in {path}: {error}") from error
    return buffer.getvalue()


def losses(path: str | os.PathLike[str], photo: Photo, name: str) -> list[str]:
    """What is lost when `photo` is written to `path`, one line each; `name` is that of its file.

    Raises:
        FiceError: the suffix of `path` is unknown.
    """
    suffix = check_suffix(path)
    lines = []
    if suffix in _LOSSY:
        lines.append(
            f"{name}: JPEG alters every pixel a little: use .png to keep all but the garment exactly"
        )
    if photo.bits == 16 and suffix != ".png":
        lines.append(
            f"{name}: the image has 16 bits a channel, of which only .png keeps more than 8"
        )
    _, left = save_options(_WRITABLE[suffix][0], photo.profile, photo.exif, photo.metadata)
    if left:
        lines.append(f"{name}: a {suffix} file has no room for its {some_of(left, 6)}, left out")
    return lines


def check_size(path: str | os.PathLike[str], size: tuple[int, int]) -> None:
    """Check that the format of `path` can hold an image of (H, W) pixels.

    Raises:
        FiceError: it cannot, or the suffix of `path` is unknown.
    """
    suffix = check_suffix(path)
    longest = _LONGEST.get(_WRITABLE[suffix][0])
    if longest is not None and max(size) > longest:
        raise FiceError(
            f"a {suffix} file has at most {longest} pixels a side, but the image has "
            f"{size[1]} x {size[0]}: write a .png instead of {path}"
        )


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
