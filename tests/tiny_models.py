"""The real networks, tiny and random, written to files."""

from pathlib import Path

import torch

from fice_core import checkpoints
from fice_core.networks.clip import Clip
from fice_core.networks.densepose import DensePose
from fice_core.networks.e4e import Encoder
from fice_core.networks.segmenter import Segmenter
from fice_core.networks.stylegan2 import Generator

WORDS = ["a", "red", "blue", "shirt", "striped"]


SIZE = 32


def write_models(folder: Path, num_styles: int = 8) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = {
            "generator": Generator((SIZE, SIZE), 8, 8, channel_base=128, channel_max=8),
            "encoder": Encoder(SIZE, ((2, 1), (3, 1), (4, 1), (5, 1)), num_styles, 8),
            "densepose": DensePose(4, 1, (1, 1, 1, 1), 4, 4, "s1x", 1, 4, 2, 4),
            "segmenter": Segmenter(
                stem_channels=4, width=2, blocks=(1, 1, 1, 1), aspp_channels=4, aspp_rates=(1, 2, 3)
            ),
            "clip": Clip(
                embed_dim=8,
                vision_cfg={"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
                text_cfg={"context_length": 8, "width": 64, "heads": 1, "layers": 1},
                vocabulary=WORDS,
            ),
        }
    for kind, network in networks.items():
        checkpoints.save(network.eval(), folder / f"{kind}.safetensors", half=True)
