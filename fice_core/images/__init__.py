"""Image files, read and written without loss where the format allows it.

May import from `errors`, `settings` and `files`.
"""

from .decoding import MAX_PIXELS
from .mask import decode_mask, read_mask
from .metadata import Metadata
from .photo import (
    Photo,
    check_size,
    check_suffix,
    decode_photo,
    encode_photo,
    is_image_file,
    losses,
    read_image,
    read_photo,
    stored_size,
    to_bytes,
    write_image,
    write_photo,
)

__all__ = [
    "MAX_PIXELS",
    "Metadata",
    "Photo",
    "check_size",
    "check_suffix",
    "decode_mask",
    "decode_photo",
    "encode_photo",
    "is_image_file",
    "losses",
    "read_image",
    "read_mask",
    "read_photo",
    "stored_size",
    "to_bytes",
    "write_image",
    "write_photo",
]
