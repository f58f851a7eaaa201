"""Segment Anything: equality with the package's own predictor, inferred settings, files."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from checkpoint_writers import tiny_sam
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_anything import SamPredictor, sam_model_registry

from fice_core import checkpoints
from fice_core.cli import main
from fice_core.errors import FiceError
from fice_core.networks.sam import Prompts, Sam, infer_config


def random_images(*shape: int, seed: int = 1) -> torch.Tensor:
    levels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed))
    return levels / 255


@pytest.fixture(scope="module")
def sam() -> Sam:
    """A tiny random network whose masks are neither constant nor saturated."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(2)
        network = tiny_sam().eval().requires_grad_(False)
        for name, value in network.named_parameters():
            if "pos" in name:  # zero by the package's initialisation
                value.normal_(std=0.3)
            elif "output_hypernetworks" in name:
                value.mul_(2.5)
    return network


def predicted(sam: Sam, image: torch.Tensor, exact: bool = False, **prompts):
    """Soft masks (C, H, W) and qualities that the package's predictor returns for an image (3, H, W)."""
    predictor = SamPredictor(sam.model)
    if exact:  # no resizing by Pillow, which rounds to 8 bits
        # the package's `apply_image_torch`, which takes batch and channels for height and width
        side = sam.image_size
        fitted = predictor.transform.get_preprocess_shape(*image.shape[1:], side)
        resized = F.interpolate(255 * image[None], fitted, mode="bilinear", antialias=True)
        predictor.set_torch_image(resized, tuple(image.shape[1:]))
    else:
        predictor.set_image((255 * image).round().byte().permute(1, 2, 0).numpy())
    masks, quality, _ = predictor.predict(**prompts, return_logits=True)
    return torch.from_numpy(masks).sigmoid(), torch.from_numpy(quality)


POINTS = np.array([[10.0, 20.0], [30.0, 5.0], [3.0, 33.0]])
LABELS = np.array([1, 0, 1])
BOX = np.array([4.0, 3.0, 38.0, 36.0])


def tensors(points=POINTS, labels=LABELS, box=BOX, **others) -> Prompts:
    return Prompts(
        None if points is None else torch.tensor(points)[None].float(),
        None if labels is None else torch.tensor(labels)[None],
        None if box is None else torch.tensor(box)[None].float(),
        **others,
    )


@pytest.mark.parametrize("size", [(40, 41), (64, 48), (200, 90)])
@pytest.mark.parametrize("given", ["points", "box", "both"])
def test_equals_the_predictor(sam, size, given):
    image = random_images(3, *size)
    points, labels = (None, None) if given == "box" else (POINTS, LABELS)
    box = None if given == "points" else BOX
    expected, _ = predicted(
        sam,
        image,
        exact=True,
        point_coords=points,
        point_labels=labels,
        box=box,
        multimask_output=False,
    )
    found = sam(image[None], tensors(points, labels, box))
    assert found.shape == (1, 1, *size)
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-5)
    assert found.std() > 0.01  # a constant would equal anything


def test_equals_the_predictor_on_8_bit_images(sam):
    """Bit by bit without resizing; with resizing up to the rounding by Pillow."""
    for size, tolerance in (((64, 50), 1e-5), ((130, 100), 0.02)):
        image = random_images(3, *size)
        expected, _ = predicted(sam, image, box=BOX, multimask_output=False)
        found = sam(image[None], tensors(None, None))
        assert (found[0] - expected).abs().max() < tolerance


def test_a_mask_prompt_has_the_layout_that_the_network_expects(sam):
    """An image of 64 x 32: its mask fills the left half of the 32 x 32 logits."""
    image, mask = random_images(3, 64, 32), torch.zeros(1, 1, 64, 32)
    mask[..., 16:48, 8:24] = 1
    logits = np.full((1, 32, 32), -10.0)
    logits[:, 8:24, 4:12] = 10
    expected, _ = predicted(
        sam, image, exact=True, box=BOX, mask_input=logits, multimask_output=False
    )
    near = sam(image[None], tensors(None, None, masks=mask))
    # antialiasing leaves soft edges in the resized mask
    assert (near[0] - expected).abs().mean() < 0.01
    without = sam(image[None], tensors(None, None))
    assert (without[0] - expected).abs().mean() > 0.03


def test_a_single_point_gets_the_best_of_three_masks(sam):
    image = random_images(3, 50, 64)
    masks, quality = predicted(
        sam, image, exact=True, point_coords=POINTS[:1], point_labels=LABELS[:1]
    )
    found = sam(image[None], tensors(POINTS[:1], LABELS[:1], None))
    best = int(quality.argmax())
    torch.testing.assert_close(found[0, 0], masks[best], rtol=1e-4, atol=1e-5)


def test_of_four_masks_the_one_most_like_a_rough_mask_is_returned(sam):
    image = random_images(3, 64, 64)
    prompts = {"point_coords": POINTS, "point_labels": LABELS}
    three, _ = predicted(sam, image, exact=True, **prompts)
    one, _ = predicted(sam, image, exact=True, **prompts, multimask_output=False)
    for answer in torch.cat([one, three]):
        found = sam(image[None], tensors(box=None), like=answer[None, None])
        torch.testing.assert_close(found[0, 0], answer, rtol=1e-4, atol=1e-4)


def test_images_of_a_batch_have_their_own_prompts(sam):
    images = random_images(2, 3, 40, 48)
    points = torch.tensor([[[5.0, 6], [20, 20]], [[30, 8], [0, 0]]])
    labels = torch.tensor([[1, 0], [1, -1]])
    boxes = torch.tensor([[2.0, 2, 30, 30], [float("nan")] * 4])
    together = sam(images, Prompts(points, labels, boxes))
    first = sam(images[:1], Prompts(points[:1], labels[:1], boxes[:1]))
    second = sam(images[1:], Prompts(points[1:, :1], labels[1:, :1]))
    torch.testing.assert_close(together, torch.cat([first, second]))


def test_nothing_is_found_without_a_prompt(sam):
    nothing = Prompts(torch.zeros(1, 3, 2), torch.full((1, 3), -1), torch.full((1, 4), torch.nan))
    assert not sam(random_images(1, 3, 32, 40), nothing).any()


def test_runs_inside_inference_mode(sam):
    with torch.inference_mode():
        inside = sam(random_images(1, 3, 40, 40), tensors())
    torch.testing.assert_close(inside, sam(random_images(1, 3, 40, 40), tensors()))


def test_wrong_shapes_are_refused(sam):
    with pytest.raises(ValueError, match="go together"):
        Prompts(points=torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="points must be"):
        Prompts(torch.zeros(1, 2, 2), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="different numbers"):
        Prompts(boxes=torch.zeros(1, 4), masks=torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match="masks must be"):
        Prompts(masks=torch.zeros(2, 4, 4))
    with pytest.raises(ValueError, match=r"images must be \(2, 3"):
        sam(random_images(1, 3, 32, 32), Prompts(boxes=torch.zeros(2, 4)))
    with pytest.raises(ValueError, match="like must be"):
        sam(random_images(1, 3, 32, 32), tensors(), like=torch.zeros(1, 4, 4))


# Settings and files


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vit_b", "ViT-B, 1024 px, 12 blocks of 768"),
        ("vit_l", "ViT-L, 1024 px, 24 blocks of 1024"),
        ("vit_h", "ViT-H, 1024 px, 32 blocks of 1280"),
    ],
)
def test_published_sizes_are_inferred(name, sentence):
    """On the meta device: the package's network of that size, and `Sam` with the inferred settings."""
    from fice_core.checkpoints.detection import _sentence

    with torch.device("meta"):
        theirs = sam_model_registry[name]().state_dict()
        config = infer_config(theirs)
        ours = Sam(**config)
    expected = {key: value.shape for key, value in theirs.items()}
    assert {key: value.shape for key, value in ours.model.state_dict().items()} == expected
    assert _sentence("sam", config) == f"a Segment Anything model ({sentence})"
    if name == "vit_b":  # the defaults
        with torch.device("meta"):
            assert Sam().config == ours.config


@settings(deadline=None, max_examples=15)
@given(
    heads=st.integers(1, 3),
    head_dim=st.integers(2, 5),
    depth=st.integers(1, 4),
    mlp_dim=st.integers(5, 60),
    window=st.integers(1, 3),
    data=st.data(),
)
def test_settings_are_inferred(heads, head_dim, depth, mlp_dim, window, data):
    blocks = sorted(data.draw(st.sets(st.integers(0, depth - 1), max_size=depth - 1)))
    network = Sam(
        image_size=32,
        patch_size=8,
        embed_dim=heads * head_dim,
        depth=depth,
        num_heads=heads,
        mlp_dim=mlp_dim,
        window_size=window,
        global_blocks=blocks,
        prompt_dim=32,
        mask_channels=4,
        candidates=2,
        decoder_depth=1,
        decoder_mlp_dim=6,
        decoder_downsample=4,
        quality_depth=2,
        quality_dim=7,
    )
    assert Sam(**infer_config(network.model.state_dict())).config == network.config


@pytest.fixture
def published(tmp_path, sam):
    """A file laid out as the published ones: the bare state dict."""
    path = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(sam.model.state_dict(), path)
    return path


def test_a_published_file_is_read(published, sam):
    loaded = checkpoints.load_sam(published)
    assert loaded.config == sam.config
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    image = random_images(1, 3, 40, 41)
    assert torch.equal(loaded(image, tensors()), sam(image, tensors()))
    key = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert torch.equal(loaded.model.state_dict()[key], sam.model.state_dict()[key])


def test_a_converted_file_is_the_same_network(published, tmp_path, sam):
    out = tmp_path / "sam.safetensors"
    done = CliRunner().invoke(main, ["convert", str(published), str(out)])
    assert done.exit_code == 0, done.output
    said = CliRunner().invoke(main, ["inspect", str(out)]).output
    assert said.startswith(
        "sam.safetensors is a Segment Anything model (ViT, 64 px, 3 blocks of 16)"
    )
    image = random_images(1, 3, 40, 41)
    again = checkpoints.load_sam(out)(image, tensors())
    assert torch.equal(again, sam(image, tensors()))


def test_other_files_are_refused(tmp_path, sam):
    for key, message in (
        ("image_encoder.patch_embed.seq.0.c.weight", "a MobileSAM model"),
        ("sam_mask_decoder.iou_token.weight", "a Segment Anything 2 model"),
    ):
        torch.save({key: torch.zeros(1)}, tmp_path / "x.pt")
        with pytest.raises(FiceError, match=f"{message}; a Segment Anything model was expected"):
            checkpoints.load_sam(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("image_encoder.blocks.0.attn.rel_pos_h", "no relative positions"),
        ("image_encoder.pos_embed", "incomplete: image_encoder.pos_embed"),
        ("mask_decoder.output_upscaling.0.weight", "lacks the tensor"),
    ],
)
def test_incomplete_files_are_refused(tmp_path, sam, key, message):
    state = dict(sam.model.state_dict())
    del state[key]
    torch.save(state, tmp_path / "sam.pth")
    with pytest.raises(FiceError, match=message):
        checkpoints.load_sam(tmp_path / "sam.pth")
