"""Mistakes of users: each gives a readable message on the node, and the server goes on."""

import numpy as np
import pytest
import torch
from PIL import Image
from prompts import DEMO, node, quick, saved, stages
from safetensors.torch import load_file, save_file
from server import Refused

from fice_core.models import DEMO_WEIGHTS


@pytest.fixture(scope="module", autouse=True)
def still_alive(server):
    """After all of them the server still edits."""
    yield
    assert server.run(quick(steps=2, seed=901)).status == "success"


def _message(server, prompt):
    """The message of the node that fails."""
    run = server.run(prompt)
    assert run.status == "error"
    assert run.error is not None
    assert run.error["exception_type"] == "FiceError", run.error  # without the path of the pack
    said = run.error["exception_message"]
    assert said.strip() in run.texts, "the error is not on the node"
    return said


def test_a_file_of_the_wrong_kind(server):
    folder = server.folder / "models" / "fice" / "generator"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wrong.safetensors").write_bytes((DEMO_WEIGHTS / "encoder.safetensors").read_bytes())
    prompt = {
        "generator": node("FICE_LoadGenerator", file="wrong.safetensors"),
        "sample": node(
            "FICE_SampleLatent", generator=["generator", 0], seed=0, count=1, truncation=0.7
        ),
        "draw": node("FICE_DecodeLatent", generator=["generator", 0], latent=["sample", 0]),
        "save": saved(["draw", 0]),
    }
    message = _message(server, prompt)
    assert "e4e encoder" in message
    assert "a StyleGAN2 generator was expected" in message


def test_a_missing_file_says_where_to_put_it(server):
    prompt = {
        "generator": node("FICE_LoadGenerator", file="gone.pt"),
        "sample": node(
            "FICE_SampleLatent", generator=["generator", 0], seed=0, count=1, truncation=0.7
        ),
        "draw": node("FICE_DecodeLatent", generator=["generator", 0], latent=["sample", 0]),
        "save": saved(["draw", 0]),
    }
    with pytest.raises(Refused) as refusal:
        server.run(prompt)
    message = refusal.value.message()
    assert "there is no file 'gone.pt': put a StyleGAN2 generator" in message
    assert str(server.folder / "models" / "fice" / "generator") in message


def test_models_of_the_users_own_are_offered(server):
    folder = server.folder / "models" / "fice" / "encoder"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.safetensors").write_bytes((DEMO_WEIGHTS / "encoder.safetensors").read_bytes())
    (folder / "README.md").write_text("not a model")
    listed = server.get("/object_info/FICE_LoadEncoder")["FICE_LoadEncoder"]["input"]["required"][
        "file"
    ]
    assert listed[1]["options"] == [DEMO, "mine.safetensors"]
    prompt = quick(steps=2, encoder=["encoder", 0])
    prompt["encoder"] = node("FICE_LoadEncoder", file="mine.safetensors")
    assert server.run(prompt).status == "success"


@pytest.mark.parametrize("text", ["", "  \n \n", "a red shirt | "])
def test_an_empty_prompt(server, text):
    assert "the prompt is empty" in _message(server, quick(prompt=text))
    assert "the prompt is empty" in _message(server, stages(prompt=text))


def test_an_empty_mask(server):
    for make, target in ((quick, "edit"), (stages, "inversion")):
        prompt = make(steps=2)
        prompt["none"] = node("SolidMask", value=0.0, width=64, height=64)
        prompt[target]["inputs"]["mask" if make is quick else "area"] = ["none", 0]
        assert "is empty, so nothing may change" in _message(server, prompt)


def test_a_full_mask_works(server):
    for make, target in ((quick, "edit"), (stages, "inversion")):
        prompt = make(steps=2)
        prompt["all"] = node("SolidMask", value=1.0, width=64, height=64)
        prompt[target]["inputs"]["mask" if make is quick else "area"] = ["all", 0]
        assert server.run(prompt).status == "success"


def test_a_mask_beside_the_person_is_told_before_the_edit(server):
    prompt = quick(steps=2)
    prompt["none"] = node("SolidMask", value=0.0, width=128, height=128)
    prompt["some"] = node("SolidMask", value=1.0, width=8, height=8)
    prompt["corner"] = node(
        "MaskComposite", destination=["none", 0], source=["some", 0], x=0, y=0, operation="add"
    )
    prompt["edit"]["inputs"]["mask"] = ["corner", 0]
    run = server.run(prompt)
    assert run.status == "success", run.error
    early = next(k for k, text in enumerate(run.texts) if "misses the garment" in text)
    assert early < next(k for k, text in enumerate(run.texts) if "step 2 of 2" in text)


def test_an_area_beside_the_person_is_told(server):
    prompt = stages(steps=2)
    prompt["none"] = node("SolidMask", value=0.0, width=128, height=128)
    prompt["some"] = node("SolidMask", value=1.0, width=8, height=8)
    prompt["corner"] = node(
        "MaskComposite", destination=["none", 0], source=["some", 0], x=0, y=0, operation="add"
    )
    prompt["inversion"]["inputs"]["area"] = ["corner", 0]
    run = server.run(prompt)
    assert run.status == "success", run.error
    assert any("area of image 1 misses the person" in text for text in run.texts)


def test_frames_that_nobody_keeps_are_told_before_the_edit(server):
    prompt = quick(steps=2, frames=0)
    prompt["frames"] = node("FICE_TraceFrames", trace=["edit", 4], hold=0)
    prompt["film"] = saved(["frames", 0])
    run = server.run(prompt)
    assert run.status == "error"
    assert run.error["node_type"] == "FICE_Edit"
    assert "frames is 0, but Trace Frames waits" in run.error["exception_message"]
    assert run.progress == []
    del prompt["frames"], prompt["film"]
    assert server.run(prompt).status == "success"


def test_nothing_is_downloaded_from_a_list(server):
    listed = server.get("/object_info/FICE_LoadCLIP")["FICE_LoadCLIP"]["input"]["required"]["file"]
    assert listed[1]["options"][0] == DEMO
    assert not any("download" in name for name in listed[1]["options"])


def test_only_latents_are_listed(server):
    from fice_core.latents import save_latent

    output = server.folder / "output"
    (output / "a" / "deep").mkdir(parents=True, exist_ok=True)
    for name in ("here", "a/below", "a/deep/far"):
        save_latent(output / f"{name}.safetensors", torch.zeros(1, 2, 4))
    save_file({"w": torch.zeros(1)}, output / "a" / "weights.safetensors")
    listed = server.get("/object_info/FICE_LoadLatent")["FICE_LoadLatent"]["input"]["required"]
    found = set(listed["file"][1]["options"])
    assert {"here.safetensors [output]", "a/below.safetensors [output]"} <= found
    assert not {"a/weights.safetensors [output]", "a/deep/far.safetensors [output]"} & found


def test_numbers_that_do_not_pair_up(server):
    prompt = quick(steps=2, prompt="a\nb\nc")
    prompt["other"] = node("FICE_DemoFigure", seed=108, size=128)
    prompt["both"] = node("ImageBatch", image1=["figure", 0], image2=["other", 0])
    prompt["edit"]["inputs"]["image"] = ["both", 0]
    assert "2 images and 3 prompts do not pair up" in _message(server, prompt)


def test_masks_that_do_not_pair_up(server):
    prompt = stages(steps=2)
    for k in range(2):
        prompt[f"m{k}"] = node("SolidMask", value=1.0, width=64, height=64)
        prompt[f"i{k}"] = node("MaskToImage", mask=[f"m{k}", 0])
    prompt["two"] = node("ImageBatch", image1=["i0", 0], image2=["i1", 0])
    prompt["three"] = node("ImageBatch", image1=["two", 0], image2=["i1", 0])
    prompt["masks"] = node("ImageToMask", image=["three", 0], channel="red")
    prompt["inversion"]["inputs"]["area"] = ["masks", 0]
    prompt["text"]["inputs"]["text"] = "a red shirt\na blue shirt"
    assert "2 prompts and 3 areas do not pair up" in _message(server, prompt)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (400, 20)])
def test_images_too_small_or_narrow(server, width, height):
    Image.new("RGB", (width, height)).save(server.folder / "input" / f"{width}x{height}.png")
    for prompt in (quick(steps=2, framing="whole"), stages(steps=2)):
        prompt["figure"] = node("LoadImage", image=f"{width}x{height}.png")
        assert f"the image is {width} x {height} pixels" in _message(server, prompt)


def test_transparency_is_laid_over_white(server):
    run = server.run({"f": node("FICE_DemoFigure", seed=102, size=128), "s": saved(["f", 0], "f")})
    figure = server.image(run.outputs("s")["images"][0])
    alpha = np.full((128, 128, 1), 255, np.uint8)
    alpha[:, :20] = 0
    Image.fromarray(np.concatenate([figure, alpha], 2)).save(server.folder / "input" / "rgba.png")
    prompt = quick(steps=2)
    prompt["figure"] = node("LoadImage", image="rgba.png")
    prompt["joined"] = node("JoinImageWithAlpha", image=["figure", 0], alpha=["figure", 1])
    prompt["edit"]["inputs"]["image"] = ["joined", 0]
    prompt["mask"] = node("MaskToImage", mask=["edit", 1])
    prompt["mask_saved"] = saved(["mask", 0], "mask")
    run = server.run(prompt)
    assert run.status == "success", run.error
    edited = server.image(run.outputs("save")["images"][0])
    assert edited.shape == (128, 128, 3)
    # A sleeve may reach into it.
    kept = server.image(run.outputs("mask_saved")["images"][0])[:, :20].max(axis=2) == 0
    assert kept.mean() > 0.9
    assert (edited[:, :20][kept] == 255).all()


def test_a_latent_of_another_generator(server, tmp_path):
    import torch

    from fice_core.latents import save_latent

    (server.folder / "output" / "fice").mkdir(parents=True, exist_ok=True)
    for name, shape, notes in (
        ("shape", (1, 14, 512), {}),
        ("other", None, {"generator": "0123456789ab"}),
    ):
        if shape is None:
            from fice_core.checkpoints import load_generator

            demo = load_generator(DEMO_WEIGHTS / "generator.safetensors")
            shape = (1, demo.num_ws, demo.w_dim)
        path = server.folder / "output" / "fice" / f"{name}.safetensors"
        save_latent(path, torch.zeros(shape), **notes)
    for name, wanted in (
        ("shape", "this generator takes"),
        ("other", "the latent was made with another generator"),
    ):
        prompt = {
            "generator": node("FICE_LoadGenerator", file=DEMO),
            "load": node("FICE_LoadLatent", file=f"fice/{name}.safetensors [output]"),
            "draw": node("FICE_DecodeLatent", generator=["generator", 0], latent=["load", 0]),
            "save": saved(["draw", 0]),
        }
        assert wanted in _message(server, prompt)


def test_a_head_without_a_segmenter(server):
    prompt = stages(steps=2)
    del prompt["inversion"]["inputs"]["segmenter"]
    assert "a head mask is connected but no segmenter" in _message(server, prompt)


def test_a_photo_is_no_pose(server):
    prompt = {
        "figure": node("FICE_DemoFigure", seed=101, size=128),
        "generator": node("FICE_LoadGenerator", file=DEMO),
        "densepose": node("FICE_LoadDensePose", file=DEMO),
        "pose": node(
            "FICE_ReadPose",
            picture=["figure", 0],
            generator=["generator", 0],
            densepose=["densepose", 0],
            palette="viridis",
        ),
        "metrics": node(
            "FICE_EditMetrics", original=["figure", 0], edited=["figure", 0], pose=["pose", 0]
        ),
    }
    assert "this is not a DensePose image" in _message(server, prompt)


def test_nan_is_named(server):
    for make in (quick, stages):
        prompt = make(steps=2)
        prompt["broken"] = node("Test_NaN", image=["figure", 0])
        for each in prompt.values():
            if each["class_type"].startswith("FICE") and each["inputs"].get("image"):
                each["inputs"]["image"] = ["broken", 0]
        assert "an IMAGE has 1 values that are NaN" in _message(server, prompt)


def test_out_of_memory_leaves_the_server_usable(server):
    prompt = quick(steps=2)
    prompt["figure"] = node("Test_Huge")
    run = server.run(prompt)
    assert run.status == "error"
    assert "memory" in run.error["exception_message"]
    assert server.run(quick(steps=2, seed=55)).status == "success"


def test_unknown_words_are_shown_and_the_edit_goes_on(server):
    run = server.run(quick(steps=2, prompt="a red paisley shirt", seed=77))
    assert run.status == "success"
    assert any("unknown and ignored: paisley" in text for text in run.texts)


def test_what_is_assumed_of_a_network_is_shown_on_its_loader(server):
    folder = server.folder / "models" / "fice" / "encoder"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(load_file(DEMO_WEIGHTS / "encoder.safetensors"), folder / "bare.safetensors")
    prompt = quick(steps=2, encoder=["encoder", 0])
    prompt["encoder"] = node("FICE_LoadEncoder", file="bare.safetensors")
    run = server.run(prompt)
    assert run.status == "success"
    line = "bare.safetensors does not say whether it is an e4e or a pSp encoder"
    assert any(text.startswith(line) for text in run.texts), run.texts
    assert f"FICE: {line}" in server.log()
