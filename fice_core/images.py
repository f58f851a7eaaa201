"""Pictures from and to files."""

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import FiceError
from .files import write_bytes

#: More pixels than any camera takes are refused: a few bytes of file can claim billions.
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
# How Pillow unpacks 16-bit channels of a PNG to their high bytes, and what unpacks their low bytes.
_PNG16 = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "LA;16B": "RGBA"}


def read_image(
    path: str | os.PathLike[str], note: Callable[[str], None] | None = None
) -> torch.Tensor:
    """Read a picture, turned upright as its EXIF orientation says.

    Grey, palette, CMYK and 16-bit pictures become RGB; 16 bits of a PNG are all kept. Transparent
    pixels are laid over white. Of an animation the first picture is taken.

    Args:
        path: a PNG, JPEG, WebP, BMP, GIF, TIFF, PPM, TGA or (if Pillow can) AVIF file.
        note: called with one line for anything the user should know about the reading.

    Returns:
        (3, H, W) float32 in [0, 1]; value k of an 8-bit file is k / 255, so that `write_image`
        writes k again.

    Raises:
        FiceError: missing, a folder, not a picture, damaged, too large, floating point pixels.
    """
    path = Path(path)
    data = _read_bytes(path)
    try:
        pixels = _decode(data)
    except _Refused as refusal:
        raise FiceError(f"{path} {refusal}") from None
    except MemoryError as error:
        raise FiceError(f"{path} does not fit into memory") from error
    except Exception as error:  # damaged files make the decoders raise anything
        raise FiceError(f"{path} is damaged: the picture in it cannot be decoded") from error
    colours, alpha = pixels[:, :, :3], pixels[:, :, 3:]
    if alpha.size:
        if note is not None and alpha.min() < 1:
            note(f"{path}: its transparent pixels are laid over white")
        colours = np.where(alpha == 1, colours, colours * alpha + (1 - alpha))
    # A copy, and outside inference mode, so that the picture may enter a graph.
    with torch.inference_mode(False):
        return torch.from_numpy(np.ascontiguousarray(colours.transpose(2, 0, 1)))


def write_image(path: str | os.PathLike[str], image: torch.Tensor) -> None:
    """Write a picture with 8 bits a channel, whole or not at all.

    Args:
        path: its suffix chooses the format: .png, .webp, .bmp, .tif keep every value, .jpg does not.
        image: (3, H, W) floating point; values are clamped to [0, 1] and rounded.

    Raises:
        FiceError: unknown suffix, or the file cannot be written.
        ValueError: wrong shape or type, or NaN.
    """
    name, options = _WRITABLE[check_suffix(path)]
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(buffer, name, **options)
    write_bytes(path, buffer.getvalue())


def to_bytes(image: torch.Tensor) -> np.ndarray:
    """A picture (3, H, W) in [0, 1] as (H, W, 3) uint8."""
    if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
        raise ValueError(
            f"an image must be (3, H, W) floating point, not {tuple(image.shape)} {image.dtype}"
        )
    if bool(image.isnan().any()):
        raise ValueError("the image has NaN pixels")
    levels = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).cpu().numpy()


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The lower-case suffix of a picture to be written.

    Raises:
        FiceError: no format is known by it.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITABLE:
        raise FiceError(
            f"cannot tell the picture format of {path}: end its name in {', '.join(_WRITABLE)}"
        )
    return suffix


def is_lossy(path: str | os.PathLike[str]) -> bool:
    """Whether the format of `path` alters pixels on writing."""
    return Path(path).suffix.lower() in _LOSSY


class _Refused(Exception):
    """A picture that is not read; the message continues a sentence begun with the file's name."""


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise FiceError(f"{path} is a folder; a picture file was expected")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FiceError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FiceError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error


def _decode(data: bytes) -> np.ndarray:
    """(H, W, 3 or 4) float32 in [0, 1], upright; the fourth channel is alpha."""
    if not data:
        raise _Refused("is empty (0 bytes)")
    Image.init()
    formats = [name for name in _READABLE if name in Image.OPEN]
    try:
        # Pillow's own limits only warn; MAX_PIXELS is checked below, before anything is decoded.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        raise _Refused(f"is not a picture that FICE reads ({', '.join(formats)})") from None
    except Image.DecompressionBombError:
        raise _Refused(f"has more than {MAX_PIXELS // 10**6} million pixels") from None
    if image.width * image.height > MAX_PIXELS:
        raise _Refused(
            f"has {image.width} x {image.height} pixels, more than the {MAX_PIXELS // 10**6} "
            "million that are read"
        )
    if image.format == "PNG" and image.tile and image.tile[0][3] in _PNG16:
        return _decode_png16(data)
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "F":
        raise _Refused("has floating point pixels; save it with 8 or 16 bits a channel")
    if upright.mode == "I" or upright.mode.startswith("I;16"):
        return _grey16(upright)
    with_alpha = upright.has_transparency_data
    return np.asarray(upright.convert("RGBA" if with_alpha else "RGB"), np.float32) / 255


def _decode_png16(data: bytes) -> np.ndarray:
    """Colour, or grey and alpha, of 16 bits, of which Pillow's own reading drops the low bytes."""

    def read(raw_mode: str | None = None) -> NDArray[np.float32]:
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        if raw_mode is not None:
            codec, extents, offset, _ = image.tile[0]
            image.tile = [(codec, extents, offset, raw_mode)]  # type: ignore[list-item]
        return np.asarray(ImageOps.exif_transpose(image)).astype(np.float32)

    raw_mode = str(Image.open(io.BytesIO(data), formats=["PNG"]).tile[0][3])
    if raw_mode == "LA;16B":  # the four bytes of a pixel, taken for four channels
        pixels = read("RGBA")
        levels = 256 * pixels[:, :, 0::2] + pixels[:, :, 1::2]
        levels = levels[:, :, [0, 0, 0, 1]]  # a copy of the grey for each colour
    else:
        levels = 256 * read() + read(_PNG16[raw_mode])
    result: np.ndarray = levels / np.float32(65535)
    return result


def _grey16(image: Image.Image) -> np.ndarray:
    levels = np.asarray(image).astype(np.int64)
    if levels.min() < 0 or levels.max() > 65535:
        raise _Refused("has 32-bit pixels; save it with 8 or 16 bits a channel")
    return (levels.astype(np.float32) / 65535)[:, :, None].repeat(3, axis=2)
