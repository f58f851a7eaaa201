"""Files of other networks that people try: they are named, with what was expected and what to use."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_writers import (
    TINY,
    prefixed,
    randomized,
    tiny_densepose,
    tiny_openai_clip,
    tiny_sam,
)
from command import fice
from safetensors.torch import save_file
from torch import nn

from fice_core import checkpoints
from fice_core.checkpoints.native import weights
from fice_core.checkpoints.unused import check_unused
from fice_core.errors import FiceError, FiceWarning

LOADERS: dict[str, Callable[[Path], Any]] = {
    "generator": checkpoints.load_generator,
    "encoder": checkpoints.load_encoder,
    "densepose": checkpoints.load_densepose,
    "segmenter": checkpoints.load_segmenter,
    "clip": checkpoints.load_clip,
    "sam": checkpoints.load_sam,
}


def refusal(path: Path, kind: str) -> str:
    """The message of the loader; `fice inspect` says the same of the file."""
    with pytest.raises(FiceError) as caught:
        LOADERS[kind](path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(path.name)
    assert checkpoints.describe(path).summary in message
    return message


# By the names of their tensors


@pytest.mark.parametrize(
    ("kind", "keys", "what", "instead"),
    [
        (
            "segmenter",
            ["decode_head.linear_fuse.weight"],
            "a part of a SegFormer",
            "segmentator.pt",
        ),
        ("segmenter", ["decode_head.linear_fuse.conv.weight"], "a SegFormer", "segmentator.pt"),
        ("segmenter", ["module.fushion.0.weight"], "an SCHP human parser", "segmentator.pt"),
        ("segmenter", ["stage1.rebnconvin.conv_s1.weight"], "a U2-Net", "segmentator.pt"),
        (
            "segmenter",
            ["conv_in.weight", "stage1.rebnconvin.conv_s1.weight"],
            "an IS-Net (RMBG 1.4)",
            "segmentator.pt",
        ),
        ("segmenter", ["bb.patch_embed.proj.weight"], "a BiRefNet (RMBG 2)", "segmentator.pt"),
        (
            "densepose",
            ["roi_heads.densepose_predictor.embed_lowres.weight"],
            "a DensePose CSE model",
            "model_final_162be9.pkl",
        ),
        ("densepose", ["roi_heads.box_head.fc1.weight"], "without a DensePose head", "162be9"),
        (
            "generator",
            ["params_ema.stylegan_decoder.constant_input.weight"],
            "a GFPGAN",
            "StyleGAN2",
        ),
        ("generator", ["params_ema.ft_layers.0.self_attn.in_proj_weight"], "a CodeFormer", "faces"),
        (
            "encoder",
            ["state_dict.hypernet.input_layer.0.weight"],
            "a HyperStyle model",
            "e4e encoder",
        ),
        (
            "encoder",
            ["block0.conv.weight", "block1.conv1.weight", "block1.conv2.weight"],
            "In-Domain GAN Inversion",
            "e4e encoder",
        ),
        ("sam", ["model.sam_mask_decoder.iou_token.weight"], "a Segment Anything 2", "sam_vit_b"),
        (
            "sam",
            ["detector.backbone.vision_backbone.trunk.blocks.0.attn.qkv.weight"],
            "a Segment Anything 3 model",
            "sam_vit_b",
        ),
        ("sam", ["image_encoder.patch_embed.seq.0.c.weight"], "a MobileSAM", "sam_vit_b"),
        (
            "clip",
            ["image_encoder.model.stem.weight", "text_encoder.embedding_layer.weight"],
            "a MobileCLIP model in its authors' layout",
            "open_clip's file",
        ),
        ("clip", ["lora_unet_down.lora_down.weight"], "a LoRA", "diffusion"),
        ("clip", ["encoder.block.0.layer.0.SelfAttention.q.weight"], "a T5", "both halves"),
        (
            "clip",
            ["visual.conv1.weight", "text.transformer.embeddings.word_embeddings.weight"],
            "whose text tower is one of transformers",
            "both halves",
        ),
        (
            "clip",
            [
                "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
                "model.diffusion_model.input_blocks.0.0.weight",
            ],
            "a Stable Diffusion checkpoint",
            "diffusion",
        ),
    ],
)
def test_files_that_people_try(tmp_path, kind, keys, what, instead):
    save_file({key: torch.zeros(2, 2) for key in keys}, tmp_path / "x.safetensors")
    message = refusal(tmp_path / "x.safetensors", kind)
    name, expected = message.split(" was expected: ")
    assert what in name
    assert instead in expected
    assert expected in fice("inspect", tmp_path / "x.safetensors").stdout


# Made by their own libraries


def transformers_model(name: str, **config: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    network: nn.Module = getattr(transformers, name)(
        getattr(
            transformers,
            name.removesuffix("ForSemanticSegmentation").removesuffix("Model") + "Config",
        )(**config)
    )
    return network


def test_segment_anything_of_transformers(tmp_path):
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16}
    vision |= {
        "image_size": 32,
        "patch_size": 16,
        "output_channels": 16,
        "global_attn_indexes": [0],
    }
    prompt = {"hidden_size": 16, "image_size": 32, "mask_input_channels": 4, "num_pos_feats": 8}
    decoder = {"hidden_size": 16, "num_hidden_layers": 1, "mlp_dim": 16, "num_attention_heads": 2}
    model = transformers_model(
        "SamModel",
        vision_config=vision | {"num_pos_feats": 8},
        prompt_encoder_config=prompt,
        mask_decoder_config=decoder | {"iou_head_hidden_dim": 16},
    )
    model.save_pretrained(tmp_path)
    message = refusal(tmp_path / "model.safetensors", "sam")
    assert "a Segment Anything model in transformers' layout" in message


def test_segformer_of_transformers(tmp_path):
    sizes = {"hidden_sizes": [4, 4, 4, 4], "depths": [1] * 4, "num_attention_heads": [1] * 4}
    model = transformers_model(
        "SegformerForSemanticSegmentation", decoder_hidden_size=4, num_labels=18, **sizes
    )
    model.save_pretrained(tmp_path)
    message = refusal(tmp_path / "model.safetensors", "sam")
    assert "is a SegFormer (4 blocks, 18 classes); a Segment Anything model was expected" in message
    message = refusal(tmp_path / "model.safetensors", "segmenter")
    assert "the names of its 18 classes are missing" in message


def test_sam_hq(tmp_path):
    """It has all tensors of Segment Anything and decodes masks otherwise."""
    state = dict(weights(randomized(tiny_sam())).state_dict())
    state["mask_decoder.hf_token.weight"] = torch.zeros(1, 32)
    torch.save(state, tmp_path / "hq.pth")
    assert "is a SAM-HQ model" in refusal(tmp_path / "hq.pth", "sam")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_frozen_torchscript(tmp_path):
    module = torch.jit.trace(nn.Conv2d(3, 4, 3).eval(), torch.zeros(1, 3, 8, 8))
    torch.jit.freeze(module).save(str(tmp_path / "frozen.pt"))
    for kind in ("clip", "segmenter", "densepose"):
        message = refusal(tmp_path / "frozen.pt", kind)
        assert "a frozen TorchScript program" in message
        assert "the original file" in message


@pytest.mark.parametrize("legacy", [False, True])
def test_whole_pickled_modules(tmp_path, legacy):
    """`torch.save(model)` needs the classes of the model's code."""
    open_clip = pytest.importorskip("open_clip")
    towers = (
        {"layers": 1, "width": 64, "patch_size": 16, "image_size": 32},
        {"layers": 1, "heads": 1},
    )
    model = open_clip.CLIP(16, *towers)
    path = tmp_path / "whole.pt"
    torch.save(model, path, _use_new_zipfile_serialization=not legacy)
    for load in (*LOADERS.values(), checkpoints.describe):
        with pytest.raises(FiceError) as caught:
            load(path)
        message = str(caught.value)
        assert message.startswith("whole.pt holds a whole object of the class open_clip.")
        assert "use a file with its state dict" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.onnx", b"anything"), ("a.pt", b"\x08\x08\x12\x07pytorch\x1a\x052.7.0:\x00")],
)
def test_onnx(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FiceError, match="is an ONNX program; the PyTorch file of the same network"):
        checkpoints.describe(tmp_path / name)


def keys_of(library: str, name: str) -> list[str]:
    """Names of the tensors of a model of transformers, or of torchvision's segmentation or detection."""
    module = pytest.importorskip(library)
    with torch.device("meta"):
        if library == "transformers":
            config = getattr(module, name.replace("Model", "Config"))
            network = getattr(module, name)(config())
        else:
            network = getattr(module, name)(weights=None, weights_backbone=None)
    return list(network.state_dict())


@pytest.mark.parametrize(
    ("library", "name", "kind", "what"),
    [
        ("transformers", "SamModel", "sam", "a Segment Anything model in transformers' layout"),
        ("transformers", "SamHQModel", "sam", "a SAM-HQ model in transformers' layout"),
        ("transformers", "Sam2Model", "sam", "a Segment Anything 2 model in transformers' layout"),
        ("transformers", "Sam3Model", "sam", "a Segment Anything 3 model in transformers' layout"),
        ("transformers", "EdgeTamModel", "sam", "an EdgeTAM model in transformers' layout"),
        ("torchvision.models.segmentation", "fcn_resnet50", "segmenter", "an FCN segmenter"),
        (
            "torchvision.models.segmentation",
            "deeplabv3_mobilenet_v3_large",
            "segmenter",
            "a DeepLabV3 segmenter with a MobileNet",
        ),
        (
            "torchvision.models.detection",
            "keypointrcnn_resnet50_fpn",
            "densepose",
            "a detector of torchvision",
        ),
    ],
)
def test_models_of_the_libraries_themselves(tmp_path, library, name, kind, what):
    state = {key: torch.zeros(1) for key in keys_of(library, name)}
    torch.save(state, tmp_path / "x.pt")
    assert f"x.pt is {what}" in refusal(tmp_path / "x.pt", kind)


# Tensors that a network does not use


def test_confidences_of_densepose_are_told(tmp_path):
    """WC1 to WC2M: the maps are those of the chart model, and their confidences are not used."""
    network = randomized(tiny_densepose())
    state = dict(network.state_dict())
    state["roi_heads.densepose_predictor.sigma_2_lowres.weight"] = torch.zeros(2)
    torch.save({"model": state}, tmp_path / "wc.pkl")
    with pytest.warns(
        FiceWarning, match=r"^wc\.pkl has 1 tensors \(roi_heads\..*sigma_2\S+\) that are not"
    ):
        checkpoints.load_densepose(tmp_path / "wc.pkl")


@pytest.mark.parametrize("kind", TINY)
def test_a_part_beside_the_network_is_told_and_one_inside_is_refused(tmp_path, kind):
    network = randomized(TINY[kind]())
    path = tmp_path / "x.safetensors"
    state = dict(weights(network).state_dict())
    inside = next(key for key in state if key.count(".") > 1).rsplit(".", 1)[0] + ".extra"
    config = {"fice.kind": kind, "fice.config": json.dumps(network.config)}
    for extra, refused in (("beside.weight", False), (inside, True)):
        save_file(state | {extra: torch.zeros(1)}, path, config)
        if refused:
            with pytest.raises(FiceError, match=rf"^x\.safetensors: .*1 tensors \({extra}\)"):
                LOADERS[kind](path)
        else:
            with pytest.warns(FiceWarning, match=rf"1 tensors \({extra}\) that are not used"):
                LOADERS[kind](path)


@pytest.mark.parametrize("kind", TINY)
def test_inspect_says_what_loading_would(tmp_path, kind):
    """A part of another architecture, a tensor too few, one of another shape, whole numbers."""
    network = randomized(TINY[kind]())
    path = tmp_path / "x.safetensors"
    state = dict(weights(network).state_dict())
    config = {"fice.kind": kind, "fice.config": json.dumps(network.config)}
    save_file(state, path, config)
    assert "not usable here" not in checkpoints.describe(path).details
    name = next(key for key, value in state.items() if value.ndim > 1 and key.count(".") > 1)
    changed = {
        "does not have": state | {name.rsplit(".", 1)[0] + ".extra": torch.zeros(1)},
        "lacks the tensor": {key: value for key, value in state.items() if key != name},
        "expected (": state | {name: torch.zeros(1, 1, 1, 1, 1)},
        "not quantised": state | {name: state[name].to(torch.int8)},
    }
    for words, tensors in changed.items():
        save_file(tensors, path, config)
        problem = checkpoints.describe(path).details["not usable here"]
        assert words in problem
        with pytest.raises(FiceError) as caught:
            LOADERS[kind](path)
        assert str(caught.value) == f"x.safetensors: {problem}"
    save_file(state | {"beside.weight": torch.zeros(1)}, path, config)
    told = checkpoints.describe(path).details["warning 1"]
    with pytest.warns(FiceWarning, match=r"\(beside\.weight\)") as warned:
        LOADERS[kind](path)
    assert str(warned[0].message) == f"x.safetensors {told}"


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_elements_that_are_no_numbers_are_refused(tmp_path, kind, value):
    """As a network has them whose training failed, or that was stored as float16."""
    network = randomized(TINY[kind]())
    state = dict(weights(network).state_dict())
    name = [key for key, tensor in state.items() if tensor.ndim > 1][-1]
    state[name] = state[name].clone()
    state[name].view(-1)[-1] = value
    config = {"fice.kind": kind, "fice.config": json.dumps(network.config)}
    save_file(state, tmp_path / "x.safetensors", config)
    with pytest.raises(FiceError, match=rf"the tensor {name} has elements that are NaN or inf"):
        LOADERS[kind](tmp_path / "x.safetensors")


@pytest.mark.parametrize("kind", ["generator", "densepose", "segmenter", "clip", "sam"])
@pytest.mark.parametrize(
    ("first", "second", "used"),
    [
        ("student.", "teacher.", None),
        ("remade.", "model_ema.", 1),
        ("G.", "G_ema.", 1),
        ("ema.", "net.", 0),
    ],
)
def test_several_networks_of_one_kind(tmp_path, kind, first, second, used):
    """A moving average is what is meant; else the choice is told."""
    make = {**TINY, "clip": lambda: tiny_openai_clip(False)}[kind]
    states = [weights(randomized(make(), seed)).state_dict() for seed in (0, 1)]
    both = prefixed(states[0], first) | prefixed(states[1], second)
    torch.save(both, tmp_path / "x.pt")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FiceWarning)
        network = LOADERS[kind](tmp_path / "x.pt")
    told = [line for one in caught if "several" in (line := str(one.message))]
    expected = (
        "x.pt holds several networks of this kind; the one under 'student.' is used, not 'teacher.'"
    )
    assert told == ([expected] if used is None else [])
    found, wanted = weights(network).state_dict(), states[used or 0]
    floating = [key for key, value in wanted.items() if value.is_floating_point()]
    assert all(torch.equal(found[key], wanted[key]) for key in floating)


def test_what_published_files_leave_is_not_told():
    network = tiny_densepose()
    keys = list(network.state_dict())
    harmless = ["proposal_generator.rpn_head.conv.weight", "roi_heads.box_head.fc1.weight"]
    assert check_unused("densepose", [*keys, *harmless, "pixel_mean"], keys, "x") is None
    for kind, extra in (
        ("clip", "input_resolution"),
        ("clip", "text.attn_mask"),
        ("segmenter", "aux_classifier.0.weight"),
        ("generator", "synthesis.b8.conv0.resample_filter"),
        ("sam", "pixel_std"),
    ):
        assert check_unused(kind, ["visual.proj", extra], ["visual.proj"], "x") is None


def test_generators_of_encoders_are_no_part_of_them(tmp_path):
    state = prefixed(dict(randomized(TINY["encoder"]()).state_dict()), "encoder.")
    state |= prefixed(dict(randomized(TINY["generator"]()).state_dict()), "decoder.")
    torch.save({"state_dict": state, "opts": {}}, tmp_path / "e.pt")
    checkpoints.load_encoder(tmp_path / "e.pt")
