"""CLIP and SigLIP in the layout of transformers: its own features, from a folder and from a file."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fice_core import checkpoints
from fice_core.errors import FiceError, FiceWarning
from fice_core.networks.clip import OPENAI_MEAN, OPENAI_STD

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

PROMPT = "a red striped shirt"
HALF = [0.5, 0.5, 0.5]
SMALL = {"hidden_size": 64, "intermediate_size": 150, "num_hidden_layers": 2}
WORDS = ["<pad>", "</s>", "<unk>", "a", "red", "striped", "shirt"]


def clip_model(activation: str = "quick_gelu", **text: Any) -> Any:
    """Heads of other widths than 64, and another epsilon."""
    common = SMALL | {"hidden_act": activation, "layer_norm_eps": 1e-3, "projection_dim": 16}
    return randomized(
        transformers.CLIPModel,
        transformers.CLIPConfig(
            projection_dim=16,
            vision_config=common | {"num_attention_heads": 2, "image_size": 32, "patch_size": 16},
            text_config=common
            | {"num_attention_heads": 4, "bos_token_id": 49406, "eos_token_id": 49407}
            | text,
        ),
    )


def siglip_model(**vision: Any) -> Any:
    """With an image size that is no multiple of the patches', as so400m-patch14-384."""
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 1}
    return randomized(
        transformers.SiglipModel,
        transformers.SiglipConfig(
            vision_config=SMALL
            | {"num_attention_heads": 2, "image_size": 37, "patch_size": 16}
            | vision,
            text_config=SMALL
            | {"num_attention_heads": 4, "vocab_size": len(WORDS), "max_position_embeddings": 16}
            | {"projection_size": 64}
            | special,
        ),
    )


def randomized(cls: type[Any], config: Any) -> Any:
    torch.manual_seed(0)
    model = cls(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.ndim > 1 else 0.05))
    return model.requires_grad_(False)


def add_tokenizer(folder: Path, **options: Any) -> None:
    """A tokenizer of seven words, as `tokenizer.json` beside the weights."""
    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "</s>"} | options))


def check(clip: Any, model: Any, mean: Any = OPENAI_MEAN, std: Any = OPENAI_STD) -> None:
    images = torch.rand(2, 3, *clip.image_size, generator=torch.Generator().manual_seed(1))
    pixels = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    theirs = model(pixel_values=pixels, input_ids=clip.tokenizer([PROMPT]))
    torch.testing.assert_close(clip.encode_image(images), theirs.image_embeds, rtol=0, atol=1e-5)
    torch.testing.assert_close(clip.encode_text([PROMPT]), theirs.text_embeds, rtol=0, atol=1e-5)


def load(path: Path) -> tuple[Any, list[str]]:
    """The CLIP and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FiceWarning)
        clip = checkpoints.load_clip(path)
    return clip, [str(one.message) for one in caught if one.category is FiceWarning]


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu", "gelu_new"])
def test_clip(tmp_path, activation):
    model = clip_model(activation)
    model.save_pretrained(tmp_path)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        clip, told = load(path)
        assert told == []
        check(clip, model)
    details = checkpoints.describe(tmp_path).details
    assert details["layout"] == "transformers'"
    assert details["settings from"] == "config.json"


def test_older_files(tmp_path):
    """`pytorch_model.bin` with position ids, as openai/clip-vit-base-patch32 has it."""
    model = clip_model()
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    for tower, count in (("text", 77), ("vision", 5)):
        state[f"{tower}_model.embeddings.position_ids"] = torch.arange(count)[None]
    torch.save(state, tmp_path / "pytorch_model.bin")
    clip, told = load(tmp_path)
    assert told == []
    check(clip, model)


def test_preprocessing_beside_the_file(tmp_path):
    model = clip_model()
    model.save_pretrained(tmp_path)
    stored = {"image_mean": HALF, "image_std": HALF, "do_normalize": True}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stored))
    check(load(tmp_path)[0], model, HALF, HALF)


def test_a_file_alone_is_told(tmp_path):
    """Without `config.json` heads have width 64 and the activation is OpenAI's."""
    model = clip_model()
    model.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    clip, told = load(tmp_path / "model.safetensors")
    assert clip.config["quick_gelu"]
    assert "the activation QuickGELU" in told[0]
    assert clip.config["vision_cfg"]["head_width"] == 64


def test_a_configuration_of_another_model_is_not_used(tmp_path):
    clip_model().save_pretrained(tmp_path)
    for stored, words in (
        ({"model_type": "bert", "hidden_size": 64}, "it describes another kind of model (bert)"),
        ({"vision_config": {"hidden_size": 65}, "text_config": {}}, "hidden_size is 65"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(stored))
        _, told = load(tmp_path / "model.safetensors")
        assert words in told[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "relu"}, "different activations, quick_gelu and relu"),
        ({"num_attention_heads": 7}, "num_attention_heads is 7 for a width of 64"),
        ({"num_attention_heads": "4"}, "num_attention_heads is '4'"),
    ],
)
def test_settings_that_are_not_supported(tmp_path, change, message):
    clip_model().save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["text_config"] |= change
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(FiceError, match=message):
        checkpoints.load_clip(tmp_path)


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
@pytest.mark.parametrize("values", [[0.5, 0.5], "0.5", [0.5, 0.5, "x"], [0, 0, 0], [127, 127, 127]])
def test_useless_deviations(tmp_path, file, values):
    """Of two channels, no numbers, zeros, and of levels from 0 to 255."""
    clip_model().save_pretrained(tmp_path)
    stored: dict[str, Any] = {"image_mean": HALF, "image_std": values}
    if file == "processor_config.json":
        stored = {"image_processor": stored}
    (tmp_path / file).write_text(json.dumps(stored))
    with pytest.raises(FiceError, match=rf"{file}: the std of the images is .*three positive num"):
        checkpoints.load_clip(tmp_path)


def test_preprocessing_that_is_not_readable_is_told(tmp_path):
    model = clip_model()
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("[1]")
    clip, told = load(tmp_path)
    assert "(preprocessor_config.json is not readable)" in told[0]
    check(clip, model)


def test_models_of_other_kinds_with_the_same_tensors_are_refused(tmp_path):
    """MetaCLIP 2 has CLIP's tensors and another end of texts."""
    folder = tmp_path / "m"
    common = SMALL | {"num_attention_heads": 2}
    randomized(
        transformers.MetaClip2Model,
        transformers.MetaClip2Config(
            text_config=common | {"vocab_size": len(WORDS)},
            vision_config=common | {"image_size": 32, "patch_size": 16},
        ),
    ).save_pretrained(folder)
    add_tokenizer(folder)
    with pytest.raises(FiceError, match=r"config\.json describes .* another kind \(metaclip_2\)"):
        checkpoints.load_clip(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FiceError, match=r"has 7 tokens, .*put its config\.json beside it"):
        checkpoints.load_clip(folder)


def small(**more: Any) -> dict[str, Any]:
    return {**SMALL, "num_attention_heads": 2, "vocab_size": 9, **more}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            lambda: transformers.ChineseCLIPModel(
                transformers.ChineseCLIPConfig(
                    text_config=small(), vision_config=small(image_size=32, patch_size=16)
                )
            ),
            "the image half of CLIP and another text tower",
        ),
        (
            lambda: transformers.BlipModel(
                transformers.BlipConfig(
                    text_config=small(encoder_hidden_size=64),
                    vision_config=small(image_size=32, patch_size=16),
                )
            ),
            "the image half of CLIP and another text tower",
        ),
        (
            lambda: transformers.GroupViTModel(
                transformers.GroupViTConfig(
                    text_config=small(),
                    vision_config={
                        "hidden_size": 32,
                        "depths": [1, 1, 1],
                        "num_group_tokens": [4, 2, 0],
                        "num_output_groups": [4, 2, 0],
                        "num_attention_heads": 2,
                        "image_size": 32,
                        "patch_size": 16,
                    },
                )
            ),
            "the text half of CLIP and another image tower",
        ),
    ],
)
def test_models_that_share_a_half_are_named(tmp_path, model, words):
    torch.save(model().state_dict(), tmp_path / "x.pt")
    with pytest.raises(FiceError, match=words):
        checkpoints.load_clip(tmp_path / "x.pt")


def test_tensors_that_are_not_part_of_it_are_refused(tmp_path):
    clip_model().save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["vision_model.encoder.layers.0.self_attn.q_norm.weight"] = torch.ones(64)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(FiceError, match=r"1 tensors \(vision_model\.\S+q_norm\.weight\)"):
        checkpoints.load_clip(tmp_path)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("text_model.", "the text half of a CLIP model .* its image half is missing"),
        ("vision_model.", "the image half of a CLIP model .* its text half is missing"),
    ],
)
def test_halves_are_named(tmp_path, kept, words):
    """clip_l.safetensors and clip_g.safetensors; clip_vision_*.safetensors."""
    clip_model().save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    half = {key: value for key, value in state.items() if key.startswith(kept)}
    save_file(half, tmp_path / "half.safetensors")
    with pytest.raises(FiceError, match=words):
        checkpoints.load_clip(tmp_path / "half.safetensors")


def test_siglip(tmp_path):
    model = siglip_model()
    model.save_pretrained(tmp_path)
    with pytest.raises(FiceError, match=r"a tokenizer of its own, .*put tokenizer\.json"):
        checkpoints.load_clip(tmp_path)
    add_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(FiceError, match=r"does not say how texts are padded"):
        checkpoints.load_clip(tmp_path)
    add_tokenizer(tmp_path)
    clip, told = load(tmp_path)
    assert told == []
    assert clip.tokenizer([PROMPT, "Striped, red!"]).tolist() == [
        [3, 4, 5, 6, *[1] * 12],
        [5, 4, *[1] * 14],
    ]
    check(clip, model, HALF, HALF)
    # The new file needs nothing beside it.
    (tmp_path / "own").mkdir()
    checkpoints.save(clip, tmp_path / "own" / "x.safetensors")
    check(checkpoints.load_clip(tmp_path / "own" / "x.safetensors"), model, HALF, HALF)
    assert "tokenizer.description" not in checkpoints.describe(tmp_path).details


def test_siglip_without_config(tmp_path):
    model = siglip_model(image_size=32, num_attention_heads=1)
    model.save_pretrained(tmp_path)
    add_tokenizer(tmp_path)
    (tmp_path / "config.json").unlink()
    clip, told = load(tmp_path)  # also a folder without a configuration
    assert "GELU by tanh" in told[0]
    images = torch.rand(1, 3, 32, 32)
    theirs = model(pixel_values=images * 2 - 1, input_ids=torch.zeros(1, 16, dtype=torch.int64))
    torch.testing.assert_close(clip.encode_image(images), theirs.image_embeds, rtol=0, atol=1e-5)


def test_siglip_for_images_of_any_shape_is_refused(tmp_path):
    model = siglip_model()
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    key = "vision_model.embeddings.patch_embedding.weight"
    save_file(state | {key: state[key].flatten(1)}, tmp_path / "model.safetensors")
    with pytest.raises(FiceError, match="NaFlex"):
        checkpoints.load_clip(tmp_path)


def test_padding_on_the_left_and_zeroed_tokens():
    from fice_core.networks.tokenizer import StoredTokenizer

    words = {word: number for number, word in enumerate(WORDS)}
    description = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    description.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = StoredTokenizer(5, description.to_str(), 1, "lower", left=True, zeroed=6)
    assert tokenizer(["Red SHIRT"]).tolist() == [[1, 1, 1, 4, 0]]
    assert tokenizer.unknown_words("plaid") == []
    with pytest.raises(FiceError, match=r"has 6 tokens.* at most 5 "):
        tokenizer(["red red red red red red"])
    with pytest.raises(ValueError, match="not readable"):
        StoredTokenizer(5, "{}", 1)
    with pytest.raises(ValueError, match="cleans texts"):
        StoredTokenizer(5, description.to_str(), 1, "twice")
