"""Networks that people have: a generator without an encoder, and a SegFormer that names clothes."""

import shutil

import numpy as np
import pytest
from parser_files import ATR, write_segformer
from prompts import DEMO, node, quick, saved, stages
from server import Refused

from fice_core.models import DEMO_WEIGHTS

DEMO_SET = "demonstration models (built in)"


@pytest.fixture(scope="module")
def generator(server):
    """A file of the user's own; it is the demonstration generator's."""
    folder = server.folder / "models" / "fice" / "generator"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own.safetensors").write_bytes((DEMO_WEIGHTS / "generator.safetensors").read_bytes())
    return node("FICE_LoadGenerator", file="own.safetensors")


@pytest.fixture(scope="module")
def parser(server):
    """A tiny SegFormer, as a hub download in a folder of its own."""
    pytest.importorskip("transformers")
    folder = server.folder / "models" / "fice" / "segmenter" / "clothes"
    write_segformer(folder, ATR, {"height": 64, "width": 64})
    return node("FICE_LoadSegmenter", file="clothes/model.safetensors")


def test_fashion_edit_searches_the_code_without_an_encoder(server, generator):
    prompt = quick(steps=2, generator=["generator", 0])
    prompt["generator"] = generator
    prompt["settings"]["inputs"]["search_steps"] = 5
    run = server.run(prompt)
    assert run.status == "success", run.error
    assert (5, 5) in run.progress and (2, 2) in run.progress
    assert any("searching the photo's code: step 5 of 5" in text for text in run.texts)
    assert len(run.previews) >= 2


def test_the_demonstration_generator_keeps_its_encoder(server):
    run = server.run(quick(steps=2, seed=77))
    assert run.status == "success", run.error
    assert {most for _, most in run.progress} == {17, 2}  # the search for a start, and the edit


def test_initialize_latent_searches(server, generator):
    prompt = {
        "figure": node("FICE_DemoFigure", seed=101, size=128),
        "generator": generator,
        "segmenter": node("FICE_LoadSegmenter", file=DEMO),
        "latent": node(
            "FICE_InitializeLatent",
            image=["figure", 0],
            generator=["generator", 0],
            segmenter=["segmenter", 0],
            steps=24,
        ),
        "photo": saved(["figure", 0]),
        "found": saved(["latent", 1]),
    }
    run = server.run(prompt)
    assert run.status == "success", run.error
    assert (24, 24) in run.progress
    photo, found = (
        server.image(run.outputs(name)["images"][0]).astype(float) for name in ("photo", "found")
    )
    assert np.abs(photo - found).mean() < 25  # grey levels; the mean image is more than 40 off
    del prompt["latent"]["inputs"]["segmenter"]
    assert server.run(prompt).status == "success"


def test_a_clothes_parser_takes_part_in_an_edit(server, parser):
    prompt = quick(steps=2, segmenter=["segmenter", 0], framing="whole", garment="dress")
    prompt["segmenter"] = parser
    run = server.run(prompt)
    assert run.status == "success", run.error


@pytest.mark.parametrize("name", ["upper", "dress", "body"])
def test_masks_of_named_classes(server, parser, name):
    prompt = stages()
    kept = {name: prompt[name] for name in ("figure", "generator", "regions")}
    kept["regions"]["inputs"]["class"] = name
    kept["segmenter"] = parser
    for place, output in enumerate(("background", "body", "head", "named")):
        kept[output] = node("MaskToImage", mask=["regions", place])
        kept[f"save {output}"] = saved([output, 0])
    run = server.run(kept)
    assert run.status == "success", run.error
    masks = {
        output: server.image(run.outputs(f"save {output}")["images"][0])[..., 0].astype(int)
        for output in ("background", "body", "head", "named")
    }
    assert masks["named"].shape == (128, 128)
    if name == "body":
        assert np.array_equal(masks["named"], masks["body"])
    else:
        assert (masks["named"] <= masks["body"] + 1).all()
        assert masks["named"].max() > 0


def test_a_class_that_the_segmenter_does_not_tell_apart(server):
    prompt = stages()
    kept = {name: prompt[name] for name in ("figure", "generator", "segmenter", "regions")}
    kept["regions"]["inputs"]["class"] = "dress"
    kept["mask"] = node("MaskToImage", mask=["regions", 3])
    kept["save"] = saved(["mask", 0])
    run = server.run(kept)
    assert run.error is not None
    assert (
        "does not tell dress apart, only background, body, head" in run.error["exception_message"]
    )


def test_a_folder_is_a_set_of_models(server):
    folder = server.folder / "models" / "fice" / "photos"
    folder.mkdir(parents=True)
    names = {"generator": "mine", "densepose": "parts", "segmenter": "segmenter", "clip": "clip"}
    for kind, name in names.items():  # two of them are recognised by what they hold
        shutil.copy(DEMO_WEIGHTS / f"{kind}.safetensors", folder / f"{name}.safetensors")
    prompt = quick(steps=2, models=["set", 0])
    prompt["set"] = node("FICE_LoadModels", models="photos")
    prompt["settings"]["inputs"]["search_steps"] = 4
    run = server.run(prompt)
    assert run.status == "success", run.error
    assert (4, 4) in run.progress  # there is no encoder: the code is searched
    shutil.copy(DEMO_WEIGHTS / "encoder.safetensors", folder / "e4e.safetensors")
    again = server.run(prompt)
    assert again.status == "success"
    assert {most for _, most in again.progress} <= {17, 15, 2}
    # the single outputs serve the stages
    prompt["latent"] = node(
        "FICE_InitializeLatent", image=["figure", 0], generator=["set", 1], encoder=["set", 2]
    )
    prompt["seen"] = saved(["latent", 1])
    assert server.run(prompt).status == "success"


def test_what_a_set_lacks_is_named(server):
    folder = server.folder / "elsewhere"
    folder.mkdir()
    shutil.copy(DEMO_WEIGHTS / "generator.safetensors", folder)
    prompt = quick(steps=2, models=["set", 0])
    prompt["set"] = node("FICE_LoadModels", models=DEMO_SET, folder=str(folder))
    run = server.run(prompt)
    assert run.status == "error"
    assert "lacks the densepose" in run.error["exception_message"]
    prompt["set"] = node("FICE_LoadModels", models=DEMO_SET, folder=str(folder / "nowhere"))
    with pytest.raises(Refused, match="there is no folder"):
        server.run(prompt)


def test_the_built_in_set_is_the_default(server):
    prompt = quick(steps=2, seed=78, models=["set", 0])
    prompt["set"] = node("FICE_LoadModels", models=DEMO_SET)
    first, second = server.run(prompt), server.run(quick(steps=2, seed=78))
    shown = [server.image(run.outputs("save")["images"][0]) for run in (first, second)]
    assert np.array_equal(*shown)
