"""Every network against the authors' program on the same weights and images."""

import compact
import pytest
import torch
from torch import Tensor, nn

pytestmark = pytest.mark.parity
TOLERANCE = 1e-4  # relative L2; the authors' program agrees with itself to 1.1e-5
PROMPT = "a red striped long sleeve shirt"


def relative_error(value: Tensor, reference: Tensor) -> float:
    assert value.shape == reference.shape
    return ((value - reference).norm() / reference.norm()).item()


@pytest.fixture(scope="module")
def generated(parity_generator: nn.Module, golden: dict[str, Tensor]) -> Tensor:
    """The image of the reference's own W+, whole."""
    with torch.inference_mode():
        return parity_generator.synthesize(golden["w_init"])


def test_encoder(parity_encoder, parity_images, golden):
    with torch.inference_mode():
        w_plus = parity_encoder(parity_images)
    assert relative_error(w_plus, golden["w_init"]) < TOLERANCE


def test_generator(generated, golden):
    assert relative_error(compact.subset(generated), golden["gen_init"]) < TOLERANCE


@pytest.mark.parametrize("key", ["body_input", "body_gen"])
def test_densepose(parity_densepose, parity_images, generated, golden, key):
    with torch.inference_mode():
        parts = parity_densepose(parity_images if key == "body_input" else generated)
    assert relative_error(compact.subset(parts), golden[key]) < TOLERANCE


def test_segmenter(parity_segmenter, parity_images, generated, golden):
    with torch.inference_mode():
        regions = parity_segmenter(parity_images)
        head = parity_segmenter(generated).head
    for name, value in regions._asdict().items():
        assert relative_error(compact.subset(value), golden[f"seg_{name}"]) < TOLERANCE
    assert relative_error(compact.subset(head), golden["head_gen"]) < TOLERANCE


def check_clip(clip, images, generated, golden, text_key, image_key, similarity_key):
    with torch.inference_mode():
        text = clip.encode_text([PROMPT])
        from_input, from_generated = clip.encode_image(images), clip.encode_image(generated)
    assert relative_error(text, golden[text_key]) < TOLERANCE
    assert relative_error(from_input, golden[f"{image_key}_input"]) < TOLERANCE
    assert relative_error(from_generated, golden[f"{image_key}_gen"]) < TOLERANCE
    similarity = from_input @ text.T
    torch.testing.assert_close(similarity, golden[similarity_key], rtol=0, atol=1e-5)


def test_clip_rn50x4(parity_clip, parity_images, generated, golden):
    keys = ("text_features", "clip_image_features", "clip_similarity_input")
    check_clip(parity_clip, parity_images, generated, golden, *keys)


def test_clip_vit_b32(parity_clip_vit, parity_images, generated, golden):
    keys = ("vitb32_text_features", "vitb32_image_features", "vitb32_similarity_input")
    check_clip(parity_clip_vit, parity_images, generated, golden, *keys)
