"""Image files and tables for commands."""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def random_image(path: Path, width: int = 40, height: int = 40, seed: int = 0) -> Path:
    """An image file of random pixels; another name or seed gives other ones."""
    rng = np.random.default_rng([seed, zlib.crc32(path.name.encode())])
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def table(folder: Path, *rows: str, encoding: str = "utf-8") -> Path:
    path = folder / "jobs.csv"
    path.write_text("\n".join(rows) + "\n", encoding=encoding)
    return path
