"""Image files, read and written without loss where the format allows it.

May import from `errors`, `settings` and `files`.
"""

from .decoding import MAX_PIXELS
from .photo import (
    Photo,
    check_suffix,
    decode_photo,
    encode_photo,
    is_image_file,
    is_lossy,
    keeps_16_bits,
    read_image,
    read_photo,
    stored_size,
    to_bytes,
    write_image,
    write_photo,
)

__all__ = [
    "MAX_PIXELS",
    "Photo",
    "check_suffix",
    "decode_photo",
    "encode_photo",
    "is_image_file",
    "is_lossy",
    "keeps_16_bits",
    "read_image",
    "read_photo",
    "stored_size",
    "to_bytes",
    "write_image",
    "write_photo",
]
