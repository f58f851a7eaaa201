"""Shared fixtures: checkpoints of the official layouts and the authors' results on them.

The checkpoints are filled by a deterministic rule (`parity/make_checkpoints.py`); set
FICE_PARITY_DIR to a folder that holds its output to spare the tests the writing of the files.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

PARITY = Path(__file__).parent / "parity"
sys.path.insert(0, str(PARITY))

import compact  # noqa: E402
import make_checkpoints  # noqa: E402

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("fice", deadline=None)
settings.load_profile("fice")

# No test writes into the user's cache, nor do the processes that tests start.
os.environ["FICE_STARTS"] = "off"

SEED = 0
PREFIXES = {"e4e": "encoder.", "segmenter": "model."}


def parity_tensors(name: str) -> dict[str, Tensor]:
    """State dict of one layout, keys as the network classes have them."""
    layout = json.loads((PARITY / "layouts" / f"{name}.json").read_text())
    arrays = make_checkpoints.tensors(layout, name, SEED)
    if name == "e4e":
        average = {"file": layout["file"], "tensors": [layout["outer"]["latent_avg"]["tensor"]]}
        arrays |= make_checkpoints.tensors(average, name, SEED)
    prefix = PREFIXES.get(name, "")
    return {key.removeprefix(prefix): torch.from_numpy(value) for key, value in arrays.items()}


def parity_network(module: object, cls: type[nn.Module], name: str) -> nn.Module:
    """The full-size network of one layout, its settings inferred from the state dict."""
    state = parity_tensors(name)
    network = cls(**module.infer_config(state))  # type: ignore[attr-defined]
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def golden() -> dict[str, Tensor]:
    """The authors' results, float32; images and maps thinned by `compact.subset`."""
    with np.load(compact.FILE) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


@pytest.fixture(scope="session")
def parity_images() -> Tensor:
    """The two input images, (2, 3, 256, 256) in [0, 1]."""
    return torch.from_numpy(make_checkpoints.test_images())


@pytest.fixture(scope="session")
def parity_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Layout name -> path of the checkpoint file, written on first use unless FICE_PARITY_DIR."""
    ready = os.environ.get("FICE_PARITY_DIR")
    folder = Path(ready) if ready else tmp_path_factory.mktemp("parity")

    def file(name: str) -> Path:
        path = folder / json.loads((PARITY / "layouts" / f"{name}.json").read_text())["file"]
        if not path.exists():
            command = [sys.executable, str(PARITY / "make_checkpoints.py"), "--seed", str(SEED)]
            command += ["--layouts", str(PARITY / "layouts"), "--out", str(folder), "--only", name]
            subprocess.run(command, check=True, capture_output=True)
        return path

    return file


@pytest.fixture(scope="session")
def parity_generator() -> nn.Module:
    from fice_core.networks import stylegan2

    return parity_network(stylegan2, stylegan2.Generator, "generator")


@pytest.fixture(scope="module")
def parity_encoder() -> nn.Module:
    from fice_core.networks import e4e

    return parity_network(e4e, e4e.Encoder, "e4e")


@pytest.fixture(scope="session")
def parity_densepose() -> nn.Module:
    from fice_core.networks import densepose

    return parity_network(densepose, densepose.DensePose, "densepose")


@pytest.fixture(scope="session")
def parity_segmenter() -> nn.Module:
    from fice_core.networks import segmenter

    return parity_network(segmenter, segmenter.Segmenter, "segmenter")


def parity_clip_network(name: str) -> nn.Module:
    from fice_core.networks import clip

    state = parity_tensors(name)
    network = clip.Clip(**clip.infer_config(state))
    stray = ("input_resolution", "context_length", "vocab_size")
    state = {key: value for key, value in state.items() if key not in stray}
    network.model.load_state_dict(state)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def parity_clip() -> nn.Module:
    """RN50x4."""
    return parity_clip_network("clip_rn50x4")


@pytest.fixture(scope="module")
def parity_clip_vit() -> nn.Module:
    """ViT-B/32."""
    return parity_clip_network("clip_vitb32")


@pytest.fixture
def no_image_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning of `extraction.domain`: toy networks know no image of random pixels."""
    monkeypatch.setattr("fice_core.extraction.domain.KNOWN", float("inf"))
