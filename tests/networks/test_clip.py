"""`Clip` and its tokenizers: preprocessing, tokens, gradients, sizes read from shapes."""

import pytest
import torch
from checkpoint_writers import VOCABULARY, randomized, tiny_clip, tiny_openai_clip
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from fice_core.errors import FiceError
from fice_core.networks.clip import OPENAI_MEAN, OPENAI_STD, Clip, infer_config
from fice_core.networks.tokenizer import BytePairTokenizer, WordTokenizer, split_words


@pytest.fixture(scope="module")
def clip() -> Clip:
    network = randomized(tiny_clip())
    assert isinstance(network, Clip)
    return network


def undo_normalisation(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor(OPENAI_MEAN), torch.tensor(OPENAI_STD)
    return pixels * std.view(3, 1, 1) + mean.view(3, 1, 1)


# Words


def test_words_are_lower_case_and_split_at_hyphens_and_punctuation():
    assert split_words("A Long-sleeve,  BLUE T-shirt (v-neck)!") == [
        *("a", "long", "sleeve", "blue", "t", "shirt", "v", "neck")
    ]


def test_word_tokens_by_hand():
    tokenizer = WordTokenizer(["red", "shirt"], 6)
    assert tokenizer.vocab_size == 5
    tokens = tokenizer(["Shirt red", "a plaid-red", ""])
    # start 3, end 4, red 1, shirt 2, padding 0; unknown words are skipped
    assert tokens.tolist() == [[3, 2, 1, 4, 0, 0], [3, 1, 4, 0, 0, 0], [3, 4, 0, 0, 0, 0]]


def test_unknown_words_are_named_once_in_order():
    tokenizer = WordTokenizer(["red", "shirt"], 6)
    assert tokenizer.unknown_words("Plaid red, paisley-plaid shirt") == ["plaid", "paisley"]
    assert tokenizer.unknown_words("red shirt") == []


@given(st.lists(st.sampled_from(VOCABULARY), max_size=6))
def test_known_sentences_keep_their_words(words):
    tokenizer = WordTokenizer(VOCABULARY, 8)
    row = tokenizer([" ".join(words)])[0].tolist()
    assert [VOCABULARY[i - 1] for i in row[1 : 1 + len(words)]] == words
    assert row[1 + len(words)] == max(row) == tokenizer.vocab_size - 1
    assert not any(row[2 + len(words) :])


@given(st.text())
def test_any_text_is_either_tokenised_or_refused_in_one_line(text):
    tokenizer = WordTokenizer(VOCABULARY, 8)
    message = ""
    try:
        rows = tokenizer([text])
    except FiceError as error:
        message = str(error)
    else:
        assert rows.shape == (1, 8)
    assert "\n" not in message


@pytest.mark.parametrize("vocabulary", [["Red"], ["t-shirt"], ["red", "red"], [""], ["blue jeans"]])
def test_invalid_vocabularies_are_programming_errors(vocabulary):
    with pytest.raises(ValueError, match="vocabulary"):
        WordTokenizer(vocabulary, 8)


def test_a_context_that_is_too_short_is_a_programming_error():
    with pytest.raises(ValueError, match="context_length"):
        WordTokenizer(["red"], 2)


@pytest.mark.parametrize(
    ("tokenizer", "longest"), [(WordTokenizer(["red"], 8), 6), (BytePairTokenizer(), 75)]
)
def test_long_prompts_are_refused_not_truncated(tokenizer, longest):
    tokenizer(["red " * longest])
    limit, count = tokenizer.context_length, longest + 3
    with pytest.raises(FiceError, match=rf"has {count} tokens.* at most {limit} "):
        tokenizer(["fine", "red " * (longest + 1)])


def test_byte_pairs_match_clips_published_ids():
    # "a photo of a cat" in the vocabulary of OpenAI's CLIP
    row = BytePairTokenizer()(["A photo of a  cat"])[0]
    assert row[:8].tolist() == [49406, 320, 1125, 539, 320, 2368, 49407, 0]
    assert BytePairTokenizer().unknown_words("flibbertigibbet") == []


# Preprocessing


def test_images_of_the_right_size_are_only_normalised(clip):
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(undo_normalisation(clip.preprocess(images)), images)


def test_large_images_are_averaged_over_areas(clip):
    images = torch.rand(1, 3, 64, 96)
    expected = images.reshape(1, 3, 32, 2, 32, 3).mean(dim=(3, 5))
    torch.testing.assert_close(undo_normalisation(clip.preprocess(images)), expected)


def test_small_images_are_interpolated_linearly_between_pixel_centres(clip):
    images = torch.zeros(1, 3, 16, 16)
    images[..., 1] = 1.0
    row = undo_normalisation(clip.preprocess(images))[0, 0, 0]
    # Output pixel j is at input position (j + 0.5) / 2 - 0.5
    expected = torch.tensor([0.0, 0.25, 0.75, 0.75, 0.25, 0.0])
    torch.testing.assert_close(row[:6], expected)


def test_an_axis_that_shrinks_does_not_change_how_the_other_grows(clip):
    images = torch.rand(1, 3, 64, 16)
    shrunk = images.reshape(1, 3, 32, 2, 16).mean(dim=3)
    expected = F.interpolate(shrunk, size=(32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(undo_normalisation(clip.preprocess(images)), expected)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 32, 32, 3)])
def test_other_shapes_are_programming_errors(clip, shape):
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\)"):
        clip.encode_image(torch.rand(shape))


def test_preprocessing_gradients(clip):
    images = torch.rand(1, 3, 40, 20, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(clip.preprocess, images)


# Features


def test_features_have_unit_norm_and_one_row_per_sample(clip):
    image_features = clip.encode_image(torch.rand(3, 3, 50, 20))
    text_features = clip.encode_text(["red shirt", "blue"])
    assert image_features.shape == (3, 16)
    assert text_features.shape == (2, 16)
    torch.testing.assert_close(image_features.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(text_features.norm(dim=-1), torch.ones(2))


@pytest.mark.parametrize("residual", [False, True])
def test_a_sample_does_not_depend_on_its_batch(residual):
    clip = randomized(tiny_clip(residual))
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        together = clip.encode_image(images)
        alone = torch.cat([clip.encode_image(image[None]) for image in images])
        texts = ["red", "a striped shirt"]
        torch.testing.assert_close(
            clip.encode_text(texts), torch.cat([clip.encode_text([t]) for t in texts])
        )
    torch.testing.assert_close(together, alone)


def test_gradients_reach_the_pixels_also_from_within_inference_mode(clip):
    with torch.inference_mode():
        target = clip.encode_text(["red shirt"])
        with torch.inference_mode(False), torch.enable_grad():
            images = torch.rand(1, 3, 64, 64, requires_grad=True)
            (clip.encode_image(images) @ target.clone().T).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_unknown_words_change_nothing(clip):
    features = clip.encode_text(["red shirt", "red paisley shirt"])
    torch.testing.assert_close(features[0], features[1])
    assert clip.unknown_words("red paisley shirt") == ["paisley"]


def test_training_changes_every_part():
    torch.manual_seed(0)
    clip = tiny_clip()
    before = {key: value.clone() for key, value in clip.named_parameters()}
    optimizer = torch.optim.SGD(clip.parameters(), lr=1.0)
    logits = clip.encode_image(torch.rand(2, 3, 32, 32)) @ clip.encode_text(["red", "blue"]).T
    F.cross_entropy(clip.model.logit_scale.exp() * logits, torch.arange(2)).backward()
    optimizer.step()
    changed = {key for key, value in clip.named_parameters() if not torch.equal(value, before[key])}
    assert {"model.logit_scale", "model.text_projection", "model.visual.proj"} <= changed


# Settings


@pytest.mark.parametrize("residual", [False, True])
def test_config_rebuilds_the_network(residual):
    clip = randomized(tiny_clip(residual))
    again = Clip(**clip.config)
    again.load_state_dict(clip.state_dict())
    again.eval()
    with torch.no_grad():
        assert torch.equal(again.encode_text(["red"]), clip.encode_text(["red"]))
        images = torch.rand(1, 3, 32, 32)
        assert torch.equal(again.encode_image(images), clip.encode_image(images))


@pytest.mark.parametrize("residual", [False, True])
def test_sizes_are_read_from_shapes(residual):
    clip = tiny_openai_clip(residual)
    config = infer_config(clip.model.state_dict())
    assert config["vision_cfg"].items() >= clip.config["vision_cfg"].items()
    assert config["text_cfg"] == clip.config["text_cfg"]
    assert config["embed_dim"] == 16


def test_quick_gelu_is_inferred_for_openais_files():
    state = dict(tiny_openai_clip(residual=False).model.state_dict())
    assert infer_config(state)["quick_gelu"] is False
    assert infer_config(state | {"input_resolution": torch.tensor(32)})["quick_gelu"] is True
    halves = state | {"text_projection": state["text_projection"].half()}
    assert infer_config(halves)["quick_gelu"] is True
    assert infer_config(tiny_openai_clip(residual=True).model.state_dict())["quick_gelu"] is True


def test_a_position_table_that_is_not_square_is_refused():
    state = dict(tiny_openai_clip(residual=False).model.state_dict())
    state["visual.positional_embedding"] = torch.zeros(7, 64)
    with pytest.raises(KeyError, match="7 rows"):
        infer_config(state)


@pytest.mark.parametrize(
    ("vision", "text"),
    [
        ({"timm_model_name": "resnet18", "timm_model_pretrained": True}, {}),
        ({}, {"hf_model_name": "x"}),
    ],
)
def test_settings_cannot_make_open_clip_download(vision, text):
    with pytest.raises(ValueError, match="download"):
        Clip(16, vision, text)
