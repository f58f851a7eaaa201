"""Toy networks in place of the real ones, and photos."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys import toy_models

from fice_core import editing

SIZE = 24


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, no_image_is_unknown: None) -> dict[str, Any]:
    """Toy networks in place of the real ones; holds what `load_models` was asked for."""
    asked: dict[str, Any] = {}

    def load_models(source: str, device: str, clip: str | None) -> editing.Models:
        asked.update(source=source, device=device, clip=clip)
        return toy_models()

    monkeypatch.setattr(editing, "load_models", load_models)
    return asked


@pytest.fixture
def make_photo(tmp_path: Path) -> Callable[..., Path]:
    """Makes image files of random pixels."""

    def make(name: str = "photo.png", size: tuple[int, int] = (SIZE, SIZE), seed: int = 0) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return make


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, editing.Models]:
    """Toy networks in place of the demonstration set; `["now"]` can be replaced."""
    stock = {"now": toy_models()}
    real = editing.load_models

    def load_models(source: str, device: str, clip: str | None) -> editing.Models:
        if source != "demo":
            return real(source, device=device, clip=clip)
        editing.resolve_device(device)
        return stock["now"]

    monkeypatch.setattr(editing, "load_models", load_models)
    return stock


@pytest.fixture
def photo(make_photo: Callable[..., Path]) -> Path:
    return make_photo()
