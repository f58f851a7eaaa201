"""CLIP models of open_clip: files of every family give open_clip's own features, or say what is missing."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from command import fice
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from fice_core import checkpoints
from fice_core.checkpoints.layouts.open_clip import architecture_names
from fice_core.errors import FiceError, FiceWarning
from fice_core.networks.clip import OPENAI_MEAN, OPENAI_STD, Clip

PROMPT = "a red striped shirt"
VISION = {"layers": 1, "width": 128, "head_width": 64, "patch_size": 16, "image_size": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
HALF = (0.5, 0.5, 0.5)


def settings(
    vision: dict[str, Any] | None = None, text: dict[str, Any] | None = None, **others: Any
) -> dict[str, Any]:
    """open_clip's configuration of a tiny model."""
    return {
        "embed_dim": 16,
        "vision_cfg": vision or VISION,
        "text_cfg": TEXT | (text or {}),
        **others,
    }


def model_of(config: dict[str, Any]) -> CLIP:
    """open_clip's model with random weights, large enough that every part shows in the features."""
    torch.manual_seed(0)
    arguments = {key: value for key, value in config.items() if not key.endswith("_cfg")}
    towers = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
    model = CLIP(arguments.pop("embed_dim"), *towers, **arguments).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.requires_grad_(False)


def write(path: Path, model: torch.nn.Module, half: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    if half:
        state = {key: v.half() if v.is_floating_point() else v for key, v in state.items()}
    save_file(state, path)
    return path


def configure(folder: Path, config: dict[str, Any], **preprocessing: Any) -> None:
    stored = {"model_cfg": config, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(stored))


def check(
    clip: Clip,
    model: CLIP,
    mean: tuple[float, ...] = OPENAI_MEAN,
    std: tuple[float, ...] = OPENAI_STD,
    tolerance: float = 1e-5,
) -> None:
    """The features are open_clip's, of images normalised by `mean` and `std`."""
    size = clip.image_size
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    pixels = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    tokens = clip.tokenizer([PROMPT])
    for ours, theirs in (
        (clip.encode_image(images), model.encode_image(pixels)),
        (clip.encode_text([PROMPT]), model.encode_text(tokens)),
    ):
        torch.testing.assert_close(ours, F.normalize(theirs, dim=-1), rtol=0, atol=tolerance)


@contextmanager
def told(*words: str) -> Iterator[None]:
    """All warnings of the block are one that says these words; without words there is none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FiceWarning)
        yield
    lines = [str(one.message) for one in caught if one.category is FiceWarning]
    assert len(lines) == bool(words), lines
    for word in words:
        assert word in lines[0]
        assert "\n" not in lines[0]


# What the shapes do not tell


@pytest.mark.parametrize(
    ("width", "head_width"), [(1280, 80), (1408, 88), (1664, 104), (1792, 112)]
)
def test_heads_of_wide_towers(tmp_path, width, head_width):
    """ViT-H, g, bigG and e."""
    config = settings(VISION | {"width": width, "head_width": head_width})
    model = model_of(config)
    with told("GELU"):
        clip = checkpoints.load_clip(write(tmp_path / "wide.safetensors", model))
    check(clip, model)


@pytest.mark.parametrize("half", [False, True])
def test_an_unknown_activation_is_told(tmp_path, half):
    """Fine-tuned OpenAI weights, LAION-400M, MetaCLIP and DFN have QuickGELU and nothing that says so."""
    model = model_of(settings(quick_gelu=True))
    path = write(tmp_path / "quick.safetensors", model, half)
    with told("the activation GELU", "name its architecture", "quick.safetensors"):
        assert not checkpoints.load_clip(path).config["quick_gelu"]
    details = checkpoints.describe(path).details
    assert "the activation GELU" in details["assumed"]
    assert "the activation GELU" in fice("inspect", path).stdout
    configure(tmp_path, settings(quick_gelu=True))
    with told():
        clip = checkpoints.load_clip(path)
    check(clip, model, tolerance=2e-3 if half else 1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("quick_gelu", [False, True])
def test_torchscript_names_its_activation(tmp_path, quick_gelu):
    model = model_of(settings(quick_gelu=quick_gelu))
    torch.jit.script(model).save(str(tmp_path / "clip.pt"))
    with told("heads"):  # of widths that no published model has
        clip = checkpoints.load_clip(tmp_path / "clip.pt")
    assert clip.config["quick_gelu"] is quick_gelu
    check(clip, model)


def test_layer_scale(tmp_path):
    """ViT-M-16-alt."""
    model = model_of(settings(VISION | {"ls_init_value": 0.5}, {"ls_init_value": 0.7}))
    with told("GELU"):
        clip = checkpoints.load_clip(write(tmp_path / "alt.safetensors", model))
    check(clip, model)


@pytest.mark.parametrize(
    "options", [{"nonscalar_logit_scale": True}, {"init_logit_bias": -10.0}], ids=["scale", "bias"]
)
def test_forms_of_the_temperature(tmp_path, options):
    model = model_of(settings(**options))
    with told("GELU"):
        clip = checkpoints.load_clip(write(tmp_path / "clip.safetensors", model))
    check(clip, model)
    assert clip.model.logit_scale.shape == ()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (settings(text={"vocab_size": 60000}), r"vocabulary has 60000 tokens, not the 49408"),
        (settings(VISION | {"no_ln_pre": True}), r"do not tell how its vision tower pools"),
        (settings(VISION | {"qk_norm": True}), r"tensors \(visual\.transformer\.\S+ln_k"),
    ],
    ids=["vocabulary", "CLIPA", "norms of queries"],
)
def test_what_shapes_do_not_tell_is_refused(tmp_path, config, message):
    path = write(tmp_path / "odd.safetensors", model_of(config))
    with pytest.raises(FiceError, match=rf"^odd\.safetensors.*{message}") as caught:
        checkpoints.load_clip(path)
    assert "\n" not in str(caught.value)
    assert checkpoints.describe(path).kind == "clip"


# Configurations beside the file


def test_a_folder_of_a_hub_download(tmp_path):
    vision = VISION | {"head_width": 32, "no_ln_pre": True, "pool_type": "avg"}
    config = settings(vision, {"heads": 2, "no_causal_mask": True, "pool_type": "last"})
    model = model_of(config)
    path = write(tmp_path / "hub" / "open_clip_model.safetensors", model)
    (tmp_path / "hub" / "model.safetensors").write_bytes(b"the vision tower alone")
    configure(tmp_path / "hub", config, mean=HALF, std=HALF)
    for given in (path, tmp_path / "hub"):
        with told():
            check(checkpoints.load_clip(given), model, HALF, HALF)
    assert (
        checkpoints.describe(tmp_path / "hub").details["settings from"] == "open_clip_config.json"
    )
    fice("convert", tmp_path / "hub", tmp_path / "own.safetensors")
    with told():
        check(checkpoints.load_clip(tmp_path / "own.safetensors"), model, HALF, HALF)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (
            settings(VISION | {"width": 256}),
            "its vision_cfg.width is 256, but the tensors have 128",
        ),
        (settings(text={"layers": 3}), "its text_cfg.layers is 3, but the tensors have 1"),
        (settings({"timm_model_name": "resnet10t"}), "a vision tower of timm"),
        ({"embed_dim": 16}, "is not readable"),
        (settings(text={"hf_model_name": "roberta-base"}), "a model of another kind"),
    ],
)
def test_a_configuration_of_another_model_is_not_used(tmp_path, stored, words):
    """Folders such as ComfyUI's models/clip hold files of many models."""
    model = model_of(settings())
    path = write(tmp_path / "clip.safetensors", model)
    configure(tmp_path, stored)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FiceWarning)
        check(checkpoints.load_clip(path), model)
    assert words in str(caught[0].message)
    assert words in checkpoints.describe(path).details["not used"]


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_configuration_is_as_none(tmp_path, content):
    model = model_of(settings())
    path = write(tmp_path / "clip.safetensors", model)
    (tmp_path / "open_clip_config.json").write_bytes(content)
    with told("GELU"):
        check(checkpoints.load_clip(path), model)


def test_folders_without_weights(tmp_path):
    with pytest.raises(FiceError, match="is a folder; a checkpoint file was expected"):
        checkpoints.load_clip(tmp_path)
    configure(tmp_path, settings())
    with pytest.raises(
        FiceError, match=r"a folder without weights; expected one of open_clip_model"
    ):
        checkpoints.load_clip(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(FiceError, match="in several files"):
        checkpoints.load_clip(tmp_path)


# Towers of timm


TOWERS = {
    "convnext_atto": {"timm_pool": "", "timm_proj": "linear"},
    "fastvit_t8": {"timm_pool": "avg", "timm_proj": None},  # of MobileCLIP's kind
}


@pytest.mark.parametrize("name", TOWERS)
def test_towers_of_timm(tmp_path, name):
    vision = {"timm_model_name": name, "image_size": 64, **TOWERS[name]}
    config = settings(vision, {"no_causal_mask": True})
    model = model_of(config)
    path = write(tmp_path / "m.safetensors", model)
    with pytest.raises(FiceError, match=r"tower is one of timm, .* name its architecture"):
        checkpoints.load_clip(path)
    zeros, ones = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    stored = config | {"vision_cfg": vision | {"timm_model_pretrained": True}}
    configure(tmp_path, stored, mean=zeros, std=ones)
    with told():
        clip = checkpoints.load_clip(path)
    check(clip, model, zeros, ones)


def test_a_tower_is_never_downloaded():
    with pytest.raises(ValueError, match="download"):
        Clip(16, {"timm_model_name": "hf-hub:someone/something"}, TEXT)


# Architectures by name


@pytest.fixture
def catalogue(monkeypatch):
    """Add tiny models to open_clip's catalogue; returns a function (name, configuration, tags)."""
    configs: dict[str, Any] = {}
    tags: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(open_clip, "list_models", lambda: list(configs))
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: json.loads(configs[name]))
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda name: list(tags[name]))
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, tag: tags[name].get(tag, {}))

    def add(name: str, config: dict[str, Any], **weights: dict[str, Any]) -> None:
        configs[name], tags[name] = json.dumps(config), weights

    return add


def test_a_named_architecture(tmp_path, catalogue):
    config = settings(VISION | {"head_width": 32}, custom_text=True)
    quick = config | {"quick_gelu": True}
    catalogue("tiny", config, one={"mean": HALF, "std": HALF})
    catalogue("tiny-quickgelu", quick, one={"mean": HALF, "std": HALF})
    for name, stored in (("tiny", config), ("tiny-quickgelu", quick)):
        model = model_of({key: value for key, value in stored.items() if key != "custom_text"})
        path = write(tmp_path / "clip.safetensors", model)
        configure(tmp_path, settings())  # what the user says comes first
        with told():
            clip = checkpoints.load_clip(path, name)
        check(clip, model, HALF, HALF)  # as all published weights have


def test_an_architecture_that_is_not_needed_is_told(tmp_path):
    path = tmp_path / "own.safetensors"
    checkpoints.save(Clip(**settings(), vocabulary=["a", "red"]), path)
    with told("own.safetensors says itself what it is", "ViT-B-32 is not used"):
        checkpoints.load_clip(path, "ViT-B-32")
    for name in ("", "  "):
        with pytest.raises(FiceError, match="architecture is empty"):
            checkpoints.load_clip(path, name)


def test_published_weights_of_a_local_file(tmp_path, catalogue):
    first = {"mean": HALF, "std": HALF, "quick_gelu": True}
    catalogue("tiny", settings(), a=first, b={"mean": OPENAI_MEAN, "std": OPENAI_STD})
    model = model_of(settings(quick_gelu=True))
    path = write(tmp_path / "clip.safetensors", model)
    with told():
        clip = checkpoints.load_clip(path, "tiny:a")
    check(clip, model, HALF, HALF)
    with told("OpenAI's mean and std", "tiny:a"):  # they differ, and none is named
        checkpoints.load_clip(path, "tiny")
    with pytest.raises(FiceError, match="no weights 'c' for tiny; it has: a, b"):
        checkpoints.load_clip(path, "tiny:c")


def test_published_weights_with_a_tokenizer(tmp_path, catalogue, monkeypatch):
    """Given a tag, the tokenizer comes from the hub as the weights do."""
    tokenizers = pytest.importorskip("tokenizers")
    text = {"vocab_size": 3, "context_length": 4, "hf_tokenizer_name": "someone/words"}
    catalogue("tiny", settings(text=text), one={"mean": HALF, "std": HALF})
    del text["hf_tokenizer_name"]
    model = model_of(settings(text=text))
    weights, hub = write(tmp_path / "weights" / "w.safetensors", model), tmp_path / "hub"
    hub.mkdir()
    words = tokenizers.models.WordLevel({"red": 0, "shirt": 1, "-": 2}, unk_token="-")
    tokenizers.Tokenizer(words).save(str(hub / "tokenizer.json"))
    (hub / "tokenizer_config.json").write_text('{"pad_token": "-"}')
    asked = []

    def fetch(name: str, filename: str) -> str:
        asked.append((name, filename))
        return str(hub / filename)

    monkeypatch.setattr(open_clip, "download_pretrained", lambda published: str(weights))
    monkeypatch.setattr("open_clip.pretrained.download_pretrained_from_hf", fetch)
    clip = checkpoints.load_clip("tiny:one")
    check(clip, model, HALF, HALF)
    assert clip.tokenizer(["red"]).tolist() == [[0, 2, 2, 2]]
    files = ["tokenizer.json", "tokenizer_config.json"]
    assert asked == [("someone/words", file) for file in files]
    with pytest.raises(FiceError, match=r"a tokenizer of its own \(someone/words\)"):
        checkpoints.load_clip(weights, "tiny")


@pytest.mark.parametrize(
    ("name", "mean"),
    [("MobileCLIP-S2", (0, 0, 0)), ("PE-Core-B-16", HALF), ("ViT-B-16-SigLIP2", HALF)],
)
def test_mean_of_published_families(name, mean):
    from fice_core.checkpoints.layouts.open_clip import architecture_settings

    found = architecture_settings(name)
    assert found.config["mean"] == list(mean)
    assert not found.assumed


def test_files_under_their_published_names(tmp_path, monkeypatch):
    """MetaCLIP's b32_400m.pt and the releases of LAION-400M have QuickGELU; other names tell nothing."""
    from fice_core.checkpoints.layouts import open_clip as catalogue

    assert catalogue.published_name("b32_400m.pt") == "ViT-B-32:metaclip_400m"
    laion = "vit_b_32-quickgelu-laion400m_e32-46683a32.pt"
    assert catalogue.published_name(laion) == "ViT-B-32:laion400m_e32"
    assert catalogue.published_name("ViT-B-32.pt") is None
    # Another model under this name is not taken for it.
    model = model_of(settings())
    with told("GELU"):
        check(checkpoints.load_clip(write(tmp_path / "b32_400m.pt", model)), model)


def test_names_of_the_catalogue():
    names = architecture_names()
    assert {"RN50x4-quickgelu", "ViT-H-14", "MobileCLIP-S2", "ViT-B-16-SigLIP2"} <= set(names)
    assert not any(name.startswith(("coca", "roberta", "xlm")) for name in names)
    assert set(names) <= set(open_clip.list_models())


# Other models


def _renamed(model: CLIP, add: dict[str, Tensor], drop: str = "-") -> dict[str, Tensor]:
    return {k: v for k, v in model.state_dict().items() if not k.startswith(drop)} | add


@pytest.mark.parametrize(
    ("add", "drop", "words"),
    [
        ({"text.cls_emb": torch.zeros(1)}, "-", "CoCa models are not supported"),
        ({"visual.cls_token": torch.zeros(1)}, "visual.", r"open_clip's file .*timm/eva02"),
        ({"visual.attn_pool.probe": torch.zeros(1)}, "-", r"open_clip's file .*timm/PE-Core"),
        ({}, "visual.", "the text half of a CLIP model"),
        ({}, "token_embedding", "the image half of a CLIP model"),
    ],
)
def test_relatives_are_named(tmp_path, add, drop, words):
    save_file(_renamed(model_of(settings()), add, drop), tmp_path / "x.safetensors")
    with pytest.raises(FiceError, match=words):
        checkpoints.load_clip(tmp_path / "x.safetensors")


def test_many_prefixes_are_no_work(tmp_path):
    """The search for a model is one pass over the names."""
    state = {f"{i}.token_embedding.weight": torch.zeros(1) for i in range(30_000)}
    save_file(state | {"x.visual.a": torch.zeros(1)}, tmp_path / "many.safetensors")
    assert checkpoints.describe(tmp_path / "many.safetensors").kind == "unknown"
