"""Edits of other programs in a running ComfyUI: restored bit for bit, measured, refused in one sentence."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from prompts import DEMO, node

from fice_core.bridges import restore
from fice_core.images import read_image
from fice_core.registration import Alignment

SIZE = (120, 150)


@pytest.fixture(scope="module")
def files(server):
    """photo.png, edited.png and other.png in the server's input folder, and the mask."""
    from moved_edits import box_mask, recoloured, seen_by, textured

    photo, mask = (textured(*SIZE) * 255).round() / 255, box_mask(*SIZE)
    truth = Alignment(SIZE, (150, 170), (1.03, 1.03), 0.0, (3.0, -2.0))
    edited = seen_by(recoloured(photo, mask), truth)
    for name, image in (("b_photo", photo), ("b_edited", edited), ("b_other", textured(*SIZE, 5))):
        levels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(levels).save(server.folder / "input" / f"{name}.png")
    cut = np.concatenate([np.zeros((*SIZE, 3)), 255 * (1 - mask.permute(1, 2, 0).numpy())], axis=-1)
    Image.fromarray(cut.astype(np.uint8)).save(server.folder / "input" / "b_mask.png")
    return mask


def graph(edited="b_edited", **more):
    return {
        "photo": node("LoadImage", image="b_photo.png"),
        "edited": node("LoadImage", image=f"{edited}.png"),
        "mask": node("LoadImage", image="b_mask.png"),
        "restore": node("FICE_RestoreEdit", original=["photo", 0], edited=["edited", 0], **more),
        "drift": node(
            "FICE_DriftReport", before=["photo", 0], after=["restore", 0], mask=["mask", 1]
        ),
        "save": node("SaveImage", images=["restore", 0], filename_prefix="bridges"),
        "text": node("PreviewAny", source=["drift", 2]),
        "table": node("PreviewAny", source=["drift", 3]),
    }


def test_a_restored_edit_is_the_photo_outside_the_mask(server, files):
    run = server.run(graph(mask=["mask", 1]))
    assert run.status == "success", run.error
    (shown,) = run.outputs("save")["images"]
    photo = np.asarray(Image.open(server.folder / "input" / "b_photo.png"))
    changed = (server.image(shown)[..., :3] != photo).any(axis=-1)
    assert changed.any()
    assert not changed[files[0].numpy() == 0].any()
    (drift,) = json.loads(run.outputs("text")["text"][0])
    assert drift["equal"] == 1
    assert drift["registration"]["confidence"] > 0.8
    (row,) = csv.DictReader(io.StringIO(run.outputs("table")["text"][0]))
    assert row["equal"] == "1.0"
    assert any("shifted" in text for text in run.texts)


def test_without_a_mask_it_is_the_librarys(server, files):
    run = server.run(graph())
    assert run.status == "success", run.error
    (shown,) = run.outputs("save")["images"]
    photo, edited = (
        read_image(server.folder / "input" / f"b_{n}.png") for n in ("photo", "edited")
    )
    wanted = restore(photo, edited).image
    found = torch.from_numpy(server.image(shown)[..., :3].copy()).permute(2, 0, 1)
    assert (found.float() - 255 * wanted).abs().max() < 1.5  # another torch, and cut to bytes


def test_networks_measure_pose_and_text(server, files):
    prompt = graph(mask=["mask", 1])
    prompt["densepose"] = node("FICE_LoadDensePose", file=DEMO)
    prompt["clip"] = node("FICE_LoadCLIP", file=DEMO)
    prompt["words"] = node(
        "FICE_EncodeText", clip=["clip", 0], text="a red shirt", negative="", negative_weight=0.5
    )
    prompt["drift"]["inputs"] |= {"densepose": ["densepose", 0], "text": ["words", 0]}
    run = server.run(prompt)
    assert run.status == "success", run.error
    (drift,) = json.loads(run.outputs("text")["text"][0])
    assert 0 <= drift["pose_iou"] <= 1
    assert -1 <= drift["similarity"] <= 1


def test_a_garment_is_found_by_networks(server, files):
    prompt = graph(densepose=["densepose", 0], segmenter=["segmenter", 0])
    prompt["densepose"] = node("FICE_LoadDensePose", file=DEMO)
    prompt["segmenter"] = node("FICE_LoadSegmenter", file=DEMO)
    assert server.run(prompt).status == "success"


def test_other_images_are_refused_in_one_sentence(server, files):
    for prompt, told in (
        (graph("b_other"), "do not match"),
        (graph(mask=["photo", 1]), "empty"),
        (graph(densepose=["densepose", 0]), "connect both"),
    ):
        prompt["densepose"] = node("FICE_LoadDensePose", file=DEMO)
        run = server.run(prompt)
        assert run.status == "error"
        assert told in run.error["exception_message"]
        assert len(run.error["exception_message"].strip().splitlines()) == 1


def test_an_edit_that_changed_nothing_has_a_report(server, files):
    """The mask that Restore Edit finds is then empty, and every pixel is compared."""
    prompt = graph("b_photo")
    prompt["drift"]["inputs"]["mask"] = ["restore", 1]
    run = server.run(prompt)
    assert run.status == "success", run.error
    (drift,) = json.loads(run.outputs("text")["text"][0])
    assert drift["equal"] == 1


def test_garment_masks_of_a_batch(server):
    prompt = {
        "one": node("FICE_DemoFigure", seed=101, size=256),
        "two": node("FICE_DemoFigure", seed=105, size=256),
        "both": node("ImageBatch", image1=["one", 0], image2=["two", 0]),
        "mask": node("FICE_GarmentMask", image=["both", 0], garment="upper", reach=False),
        "seen": node("MaskToImage", mask=["mask", 0]),
        "save": node("SaveImage", images=["seen", 0], filename_prefix="garment"),
    }
    run = server.run(prompt)
    assert run.status == "success", run.error
    first, second = (server.image(shown) for shown in run.outputs("save")["images"])
    assert first.shape[:2] == second.shape[:2] == (256, 256)
    for mask in (first, second):
        assert 0.05 < (mask > 128).mean() < 0.5
    assert (first != second).any()
    prompt["set"] = node("FICE_LoadModels", models="demonstration models (built in)")
    prompt["mask"]["inputs"] |= {"models": ["set", 0], "reach": True}
    wider = server.run(prompt)
    assert wider.status == "success", wider.error
    reached = server.image(wider.outputs("save")["images"][0])
    assert (reached > 128).sum() > (first > 128).sum()
