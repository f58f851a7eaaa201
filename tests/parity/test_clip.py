"""The loaders on full-size files of the official layouts: every tensor, and CLIP's features."""

import pytest
import torch
from conftest import parity_tensors

from fice_core import checkpoints
from fice_core.networks.clip import Clip

pytestmark = pytest.mark.parity
PROMPT = "a red striped long sleeve shirt"
TOLERANCE = 1e-4


def relative_error(value: torch.Tensor, reference: torch.Tensor) -> float:
    return ((value - reference).norm() / reference.norm()).item()


@pytest.mark.parametrize(
    ("layout", "kind"),
    [
        ("generator", "generator"),
        ("e4e", "encoder"),
        ("densepose", "densepose"),
        ("segmenter", "segmenter"),
    ],
)
def test_official_files_load_to_the_very_tensors(parity_file, layout, kind):
    path = parity_file(layout)
    network = getattr(checkpoints, f"load_{kind}")(path)
    expected = parity_tensors(layout)
    state = network.state_dict()
    counts = {key for key in state if key.endswith("num_batches_tracked")}
    assert len(state) > len(counts)
    for key in state.keys() - (counts - expected.keys()):
        value = state[key]
        assert value.dtype in (torch.float32, torch.int64)
        assert torch.equal(value, expected[key].reshape(value.shape)), key


@pytest.fixture(scope="module")
def rn50x4(parity_file) -> Clip:
    return checkpoints.load_clip(parity_file("clip_rn50x4"))


@pytest.fixture(scope="module")
def vit_b32(parity_file) -> Clip:
    return checkpoints.load_clip(parity_file("clip_vitb32"))


def test_rn50x4(rn50x4, parity_images, golden):
    assert rn50x4.config["quick_gelu"]
    assert rn50x4.image_size == (288, 288)
    with torch.inference_mode():
        text, images = rn50x4.encode_text([PROMPT]), rn50x4.encode_image(parity_images)
    assert relative_error(text, golden["text_features"]) < TOLERANCE
    assert relative_error(images, golden["clip_image_features_input"]) < TOLERANCE
    torch.testing.assert_close(
        images @ text.T, golden["clip_similarity_input"], rtol=0, atol=TOLERANCE
    )


def test_vit_b32(vit_b32, parity_images, golden):
    assert vit_b32.config["quick_gelu"]
    assert vit_b32.image_size == (224, 224)
    with torch.inference_mode():
        text, images = vit_b32.encode_text([PROMPT]), vit_b32.encode_image(parity_images)
    assert relative_error(text, golden["vitb32_text_features"]) < TOLERANCE
    assert relative_error(images, golden["vitb32_image_features_input"]) < TOLERANCE


def test_openais_weights_get_quick_gelu_whatever_the_name_says(parity_file, golden):
    clip = checkpoints.load_clip(parity_file("clip_rn50x4"), architecture="RN50x4")
    with torch.inference_mode():
        assert relative_error(clip.encode_text([PROMPT]), golden["text_features"]) < TOLERANCE


def test_tokens(rn50x4, golden):
    assert torch.equal(rn50x4.tokenizer([PROMPT]), golden["tokens"].long())
