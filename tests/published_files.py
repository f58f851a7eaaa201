"""A set of models in the forms in which strangers get them, without an encoder; all weights are random.

StyleGAN-Human's pickle, SegFormer and CLIP by transformers' own `save_pretrained`, DensePose as TorchScript.
"""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from checkpoint_writers import nvidia_layout, write_nvidia
from parser_files import write_segformer

from fice_core.networks.densepose import DensePose
from fice_core.networks.stylegan2 import Generator


class Sizes(NamedTuple):
    """Arguments of `Generator`, of `DensePose`, and of transformers' configurations."""

    generator: dict[str, Any]
    densepose: dict[str, Any]
    segformer: dict[str, Any]
    clip: dict[str, Any]


#: as published: StyleGAN-Human 512 x 256, SegFormer-B2, ViT-B/32, R50-FPN with the DeepLab head
PUBLISHED = Sizes(
    generator={"resolution": (512, 256), "channel_base": 32768, "mapping_layers": 8},
    densepose={"head": "dl"},
    segformer={
        "depths": [3, 4, 6, 3],
        "hidden_sizes": [64, 128, 320, 512],
        "num_attention_heads": [1, 2, 5, 8],
        "decoder_hidden_size": 768,
        "size": {"height": 512, "width": 512},
    },
    clip={"projection_dim": 512},  # transformers' defaults are ViT-B/32
)
_SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
#: the same, with few channels
TINY = Sizes(
    generator={
        "resolution": (64, 32),
        "z_dim": 8,
        "w_dim": 8,
        "channel_base": 256,
        "channel_max": 8,
        "mapping_layers": 8,
    },
    densepose={
        "stem_channels": 4,
        "width": 4,
        "blocks": (1, 1, 1, 1),
        "fpn_channels": 32,
        "decoder_channels": 32,
        "head": "dl",
        "head_convs": 2,
        "head_channels": 32,
    },
    segformer={"size": {"height": 64, "width": 64}},
    clip={
        "projection_dim": 16,
        "vision_config": _SMALL | {"num_attention_heads": 1, "image_size": 32, "patch_size": 16},
        "text_config": _SMALL | {"num_attention_heads": 1},
    },
)


def write_published(folder: Path, sizes: Sizes) -> None:
    """Write the set, under the names that the files are published with, into an existing folder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _write_generator(folder / "stylegan_human_v2_512.pkl", Generator(**sizes.generator))
        _write_densepose(folder / "densepose_r50_fpn_dl.torchscript", DensePose(**sizes.densepose))
        _write_clip(folder / "fashion-clip", sizes.clip)
    write_segformer(folder / "segformer_b2_clothes", often="Upper-clothes", **sizes.segformer)


def _write_generator(path: Path, network: Generator) -> None:
    config = network.config
    arguments = {
        "z_dim": config["z_dim"],
        "c_dim": 0,
        "w_dim": config["w_dim"],
        "img_resolution": config["resolution"][0],
        "img_channels": 3,
        "square": False,
        "mapping_kwargs": {"num_layers": config["mapping_layers"]},
        "synthesis_kwargs": {
            "channel_base": config["channel_base"],
            "channel_max": config["channel_max"],
            "num_fp16_res": 4,
            "conv_clamp": config["conv_clamp"],
        },
    }
    with torch.no_grad():  # W has a mean, as after training
        mean = network.mapping(torch.randn(1024, network.z_dim)).mean(dim=0)
        network.mapping.w_avg.copy_(mean)
    write_nvidia(path, nvidia_layout(network), arguments=arguments)


def _write_densepose(path: Path, network: DensePose) -> None:
    image = torch.rand(1, 3, 64, 64)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing
        torch.jit.trace(network.eval(), image, check_trace=False).save(str(path))


def _write_clip(folder: Path, settings: dict[str, Any]) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    text = {"bos_token_id": 49406, "eos_token_id": 49407} | settings.get("text_config", {})
    model = CLIPModel(CLIPConfig(**(settings | {"text_config": text})))
    model.save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": model.config.vision_config.image_size}
    ).save_pretrained(folder)
