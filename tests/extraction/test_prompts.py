"""Prompts: parsing, weights, negative prompts."""

import pytest
import torch
from toys import toy_models

from fice_core.errors import FiceError
from fice_core.extraction.prompts import Phrase, encode, parse, unknown_words


@pytest.fixture(scope="module")
def clip():
    return toy_models().clip


@pytest.mark.parametrize(
    ("line", "phrases"),
    [
        ("a red shirt", [Phrase("a red shirt", 1.0)]),
        (" a red shirt | stripes ", [Phrase("a red shirt", 1.0), Phrase("stripes", 1.0)]),
        ("(a red shirt:1.5)|(stripes: .5)", [Phrase("a red shirt", 1.5), Phrase("stripes", 0.5)]),
        ("a shirt (blue)", [Phrase("a shirt (blue)", 1.0)]),
        ("open at 10:30", [Phrase("open at 10:30", 1.0)]),
    ],
)
def test_parse(line, phrases):
    assert parse(line) == phrases


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the prompt is empty"),
        ("a | ", "the prompt is empty"),
        ("(:2)", "the prompt is empty"),
        ("(a:-1)", "must be a number >= 0"),
        ("(a:1.2.3)", "must be a number >= 0"),
    ],
)
def test_invalid_prompts_are_refused(line, message):
    with pytest.raises(FiceError, match=message):
        parse(line)


def test_one_prompt_is_its_feature_to_the_bit(clip):
    assert torch.equal(encode(clip, ["prompt 1"]), clip.encode_text(["prompt 1"]))
    assert torch.equal(encode(clip, ["(prompt 1:3)"]), clip.encode_text(["prompt 1"]))


def test_weights_blend_directions(clip):
    first, second = clip.encode_text(["prompt 1", "prompt 2"])
    wanted = 2 * first + 0.5 * second
    torch.testing.assert_close(
        encode(clip, ["(prompt 1:2) | (prompt 2:0.5)"])[0], wanted / wanted.norm()
    )


def test_a_negative_prompt_is_moved_away_from(clip):
    plain = encode(clip, ["prompt 1", "prompt 3"])
    away = clip.encode_text(["prompt 2"])
    features = encode(clip, ["prompt 1", "prompt 3"], negative="prompt 2", negative_weight=0.5)
    wanted = plain - 0.5 * away
    torch.testing.assert_close(features, wanted / wanted.norm(dim=1, keepdim=True))
    assert bool(((features @ away.T) < (plain @ away.T)).all())
    assert torch.equal(
        encode(clip, ["prompt 1"], negative="prompt 2", negative_weight=0), plain[:1]
    )


@pytest.mark.parametrize(("line", "negative"), [("(prompt 1:0)", ""), ("prompt 1", "prompt 1")])
def test_prompts_that_cancel_out_are_refused(clip, line, negative):
    with pytest.raises(FiceError, match="cancel"):
        encode(clip, [line], negative, 1.0)


def test_unknown_words_are_named_once_for_each_prompt():
    class Clip:
        def unknown_words(self, text):
            return [word for word in text.split() if word == "paisley"]

    warnings = unknown_words(Clip(), ["a paisley shirt | red", "(red:2)", "a paisley shirt"])
    assert warnings == ["these words of 'a paisley shirt' are unknown and ignored: paisley"]
