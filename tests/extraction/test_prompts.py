"""Prompts: parsing, weights, negative prompts."""

import time

import pytest
import torch
from checkpoint_writers import tiny_clip, tiny_openai_clip
from toys import toy_models

from fice_core.editing.prepare import PromptFeatures
from fice_core.errors import FiceError
from fice_core.extraction.prompts import Phrase, encode, notation, parse, remarks, unknown_words


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
        ("a red\tand\r\nblue shirt", [Phrase("a red\tand\r\nblue shirt", 1.0)]),
        ("a shirt 👩\u200d🦰", [Phrase("a shirt 👩\u200d🦰", 1.0)]),
        ("(a shirt:1000)", [Phrase("a shirt", 1000.0)]),
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
        ("(a:-1)", "must be a number from 0 to 1000 in plain digits"),
        ("(a:1.2.3)", "must be a number from 0 to 1000 in plain digits"),
        ("(a:1001)", "must be a number from 0 to 1000 in plain digits"),
        (f"(a:{'9' * 400})", "must be a number from 0 to 1000 in plain digits"),
        ("a\0 shirt", r"the prompt 'a.x00 shirt' has a null character, '.x00': delete it"),
        ("a | red\x1b[31m", r"has a control character, '.x1b'"),
        ("a\x7f shirt", "has a control character"),
        ("a \udce9 shirt", "has a control character"),
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


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("(red:1.2) shirt", "for some words"),
        ("a (red:1.2) shirt | blue", "for some words"),
        ("((a red shirt:1.5))", "for some words"),
        ("(red:1.2) (shirt:1.3)", "for some words"),
        ("(a red shirt:1,5)", "has a comma"),
        ("a red shirt:1.5 | blue", "no brackets"),
        ("((red)) shirt", "stress no word"),
        ("[red] shirt", "stress no word"),
        ("a {red|blue} shirt", "braces choose nothing"),
        ("a {red,blue} shirt", "braces choose nothing"),
        ("(a red shirt:1.5) | (blue:0.2", "do not match"),
        ("a red shirt)", "do not match"),
        ("(a red shirt", "do not match"),
        ("a [red) shirt", "do not match"),
        ("a {red shirt", "do not match"),
        ("<lora:shirt:0.8> red", "adds no network"),
        ("(red:) shirt", "must be a number from 0 to 1000 in plain digits"),
        ("(a red shirt:nan)", "must be a number from 0 to 1000 in plain digits"),
        ("(a red shirt:1e9)", "must be a number from 0 to 1000 in plain digits"),
        ("red::2 blue::1", "set nothing"),
        ("a red shirt --v 5", "set nothing"),
        ("embedding:style1", "no other text is put in"),
        ("a __colour__ shirt", "no other text is put in"),
        ("a red shirt BREAK a blue hat", "separate nothing"),
        ("a red shirt AND blue", "separate nothing"),
    ],
)
def test_notations_of_other_programs_are_told(line, words):
    (said,) = notation([line, line])
    assert words in said
    assert repr(line) in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "line",
    [
        "a red shirt",
        "(a red shirt:1.5)|(stripes: .5)",
        "(a (light) red shirt:2)",
        "a shirt (blue)",
        "open at 10:30",
        "size < 40 > 30",
        "it's a t-shirt, v-neck!",
        "A RED AND BLUE SHIRT",
        "a shirt--red--and blue",
        "a red__blue shirt",
    ],
)
def test_plain_prompts_are_not_remarked(line):
    assert notation([line]) == []


def test_long_prompts_take_no_time_and_are_cut_in_messages():
    for line in ("(" * 100_000, "(" + ":" * 100_000, "[" * 50_000 + "red", "red::" * 30_000):
        begin = time.process_time()
        (said,) = notation([line]) or [""]
        assert time.process_time() - begin < 1
        assert len(said) < 400


def test_a_weight_of_a_part_is_not_one_of_the_whole():
    assert parse("(red:1.2) (shirt:1.3)") == [Phrase("(red:1.2) (shirt:1.3)", 1.0)]
    assert parse("((a red shirt:1.5)") == [Phrase("((a red shirt:1.5)", 1.0)]


@pytest.mark.parametrize(
    "line", ["赤いシャツ", "!!!", "a kimono", "👕", "red | kimono", "(kimono:2) | red"]
)
def test_unknown_words_alone_are_refused_by_the_demonstration_models(line):
    with pytest.raises(FiceError, match="know no word of the prompt"):
        encode(tiny_clip(), [line])
    with pytest.raises(FiceError, match="know no word"):
        encode(tiny_clip(), ["a red shirt"], negative=line)
    assert torch.isfinite(encode(tiny_clip(), ["a red kimono"])).all()
    assert torch.isfinite(encode(tiny_clip(), ["red"], negative=line, negative_weight=0)).all()


def test_clip_that_spells_knows_every_word():
    encode(tiny_openai_clip(residual=False), ["赤いシャツ", "!!!"])


def test_remarks_are_of_notation_and_words():
    said = remarks(tiny_clip(), ["(red:1.2) kimono"])
    assert len(said) == 2
    assert "for some words" in said[0]
    assert "kimono" in said[1]


def test_texts_are_called_what_they_are():
    clip = tiny_clip()
    with pytest.raises(FiceError, match="no word of the negative prompt 'kimono'"):
        encode(clip, ["a red shirt"], negative="kimono")
    with pytest.raises(FiceError, match="no word of the text of what is worn 'kimono'"):
        PromptFeatures.of(clip, ["a red shirt"], "", "kimono")
    with pytest.raises(FiceError, match="the text of what is worn is empty"):
        PromptFeatures.of(clip, ["a red shirt"], "", "red |")
    with pytest.raises(FiceError, match="the negative prompt is empty"):
        PromptFeatures.of(clip, ["a red shirt"], "red |", "")
    with pytest.raises(FiceError, match=r"parts of the text of what is worn '.*' cancel out"):
        PromptFeatures.of(clip, ["a red shirt"], "", "(red:0)")
    said = remarks(clip, ["[red]"], "[blue] shirt", "a (red shirt")
    assert [line.partition(" brackets")[0] for line in said] == [
        "in the prompt '[red]'",
        "in the negative prompt '[blue] shirt'",
        "in the text of what is worn 'a (red shirt' the",
    ]
