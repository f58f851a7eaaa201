"""Photos that show more than the person: framing and unframing in a running ComfyUI."""

import numpy as np
import pytest
import torch
from PIL import Image
from prompts import DEMO, SETTINGS, framed, node, quick, saved, stages
from test_edits import BYTES, fingerprints, saved_images

from fice_core.demo import figure

SIZE = (360, 640)
PLACE = (300, 40)  # left and top of the figure


def scene(seed, side, place=PLACE, size=SIZE):
    """A figure before a wall of noise, (H, W, 3) bytes."""
    rng = np.random.default_rng(seed)
    photo = rng.integers(170, 200, (*size, 3), np.uint8)
    person = figure(seed, side)[0][0].movedim(0, -1).numpy()
    left, top = place
    photo[top : top + side, left : left + side] = np.round(person * 255)
    return photo


@pytest.fixture(scope="module")
def photo(server):
    """The scene, saved as scene.png in the server's input folder."""
    pixels = scene(103, 320)
    Image.fromarray(pixels).save(server.folder / "input" / "scene.png")
    return pixels


def _load(graph, name="scene.png"):
    graph["figure"] = node("LoadImage", image=name)
    return graph


def _outside_is_kept(edited, photo, changed):
    differs = (edited != photo).any(axis=-1)
    assert differs.any()
    from scipy.ndimage import binary_dilation

    # the mask as saved is cut to bytes: a pixel of it that shows 0 may be a little above
    assert not differs[~binary_dilation(changed > 0, iterations=3)].any()


def test_a_box_and_back_is_the_library_to_the_byte(server, library, photo):
    """At the generator's scale nothing is resampled, so that nodes and library see the same."""
    small = scene(101, 128, (300, 100))
    Image.fromarray(small).save(server.folder / "input" / "small.png")
    graph = _load(framed(6, 3, "a blue striped t-shirt", box="300, 100, 428, 228"), "small.png")
    run = server.run(graph)
    assert run.status == "success", run.error
    wanted = library(
        f"{BYTES}\n"
        "from fice_core.framing import Frame\nfrom fice_core.images import read_image\n"
        f"photo = read_image({str(server.folder / 'input' / 'small.png')!r})[None]\n"
        "frame = Frame((360, 640), (128, 128), (300, 100, 428, 228))\n"
        f"done = edit(models, photo, 'a blue striped t-shirt', {SETTINGS.format(steps=6, seed=3)},"
        " frames=[frame])\n"
        "result = [fingerprint(as_comfyui_saves(done.images)[0])]"
    )
    assert fingerprints(saved_images(server, run)) == wanted
    assert (saved_images(server, run)[0] != small).any()


def test_the_person_is_found_edited_and_put_back(server, photo):
    graph = _load(framed(4, 1, "a green tank top"))
    graph["place"] = node("MaskToImage", mask=["frame", 2])
    graph["show"] = saved(["place", 0], "place")
    graph["mask image"] = node("MaskToImage", mask=["mask", 0])
    graph["mask back"] = node(
        "FICE_UnframePerson",
        image=["mask image", 0],
        original=["black", 0],
        frame=["frame", 1],
    )
    graph["black"] = node("EmptyImage", width=SIZE[1], height=SIZE[0], batch_size=1, color=0)
    graph["shown mask"] = saved(["mask back", 0], "mask")
    run = server.run(graph)
    assert run.status == "success", run.error
    place = saved_images(server, run, "show")[0][..., 0]
    rows, columns = np.nonzero(place)
    assert abs(columns.mean() - (PLACE[0] + 160)) < 30
    assert abs(rows.max() - rows.min() - 320) < 60
    edited = saved_images(server, run)[0]
    _outside_is_kept(edited, photo, saved_images(server, run, "shown mask")[0][..., 0])
    assert np.array_equal(edited[place == 0], photo[place == 0])


def test_the_quick_node_finds_the_person_too(server, photo):
    graph = _load(quick(4, 1, "a green tank top", source="a t-shirt", negative="a sweater"))
    graph["mask"] = node("MaskToImage", mask=["edit", 1])
    graph["show"] = saved(["mask", 0], "mask")
    run = server.run(graph)
    assert run.status == "success", run.error
    mask = saved_images(server, run, "show")[0][..., 0]
    assert mask[:, :250].max() == 0 < mask.max()
    _outside_is_kept(saved_images(server, run)[0], photo, mask)
    for changed in ({"framing": "whole"}, {"blend": "gradient"}, {"garment": "lower"}):
        graph["edit"]["inputs"] |= changed
        again = server.run(graph)
        assert again.status == "success", again.error
        assert fingerprints(saved_images(server, again)) != fingerprints(saved_images(server, run))


def _there_and_back(name="scene.png", **frame):
    """Framed and put back without an edit."""
    graph = _load(framed(1, **frame), name)
    kept = ("figure", "generator", "segmenter", "frame", "unframe", "save")
    graph["unframe"]["inputs"]["image"] = ["frame", 0]
    return {name: graph[name] for name in kept}


def test_an_unaltered_crop_gives_the_photo_back(server, photo):
    run = server.run(_there_and_back())
    assert run.status == "success", run.error
    assert np.array_equal(saved_images(server, run)[0], photo)


def test_a_crop_for_diffusion_editors_gives_the_photo_back_too(server, photo):
    graph = _there_and_back(multiple_of="64", megapixels=0.5)
    graph["crop"] = saved(["frame", 0], "crop")
    run = server.run(graph)
    assert run.status == "success", run.error
    height, width = saved_images(server, run, "crop")[0].shape[:2]
    assert height % 64 == width % 64 == 0 and height * width >= 500_000
    assert np.array_equal(saved_images(server, run)[0], photo)


def test_what_an_upscaler_made_comes_back_within_the_mask(server, photo):
    graph = _there_and_back()
    graph["large"] = node(
        "ImageScaleBy", image=["frame", 0], upscale_method="bicubic", scale_by=2.0
    )
    graph["other"] = node("ImageInvert", image=["large", 0])
    graph["circle"] = node("SolidMask", value=1.0, width=40, height=40)
    graph["black"] = node("SolidMask", value=0.0, width=100, height=100)
    graph["mask"] = node(
        "MaskComposite",
        destination=["black", 0],
        source=["circle", 0],
        x=30,
        y=30,
        operation="add",
    )
    graph["unframe"]["inputs"] |= {"image": ["other", 0], "mask": ["mask", 0]}
    graph["m"] = node("MaskToImage", mask=["unframe", 1])
    graph["show"] = saved(["m", 0], "changed")
    run = server.run(graph)
    assert run.status == "success", run.error
    changed = saved_images(server, run, "show")[0][..., 0]
    assert changed.max() == 255
    _outside_is_kept(saved_images(server, run)[0], photo, changed)


def test_a_batch_of_two_with_persons_of_two_sizes(server, photo):
    other = scene(106, 240, (40, 100))
    Image.fromarray(other).save(server.folder / "input" / "other.png")
    graph = _load(framed(2, 0, "a red shirt\na blue shirt"))
    graph = {
        name: {**each, "inputs": _both(each["inputs"])} if name in ("frame", "unframe") else each
        for name, each in graph.items()
    }
    graph["figure2"] = node("LoadImage", image="other.png")
    graph["both"] = node("ImageBatch", image1=["figure", 0], image2=["figure2", 0])
    graph["unframe"]["inputs"]["mask"] = ["stitch", 1]
    graph["m"] = node("MaskToImage", mask=["unframe", 1])
    graph["show"] = saved(["m", 0], "changed")
    graph["crops"] = saved(["frame", 0], "crops")
    run = server.run(graph)
    assert run.status == "success", run.error
    crops = saved_images(server, run, "crops")
    assert crops[0].shape == crops[1].shape
    edits, masks = saved_images(server, run), saved_images(server, run, "show")
    for edited, before, mask in zip(edits, (photo, other), masks, strict=True):
        _outside_is_kept(edited, before, mask[..., 0])


def _both(inputs):
    return {k: ["both", 0] if v == ["figure", 0] else v for k, v in inputs.items()}


def _frame_message(server, name="scene.png", mask=None, **frame):
    graph = _there_and_back(name, **frame)
    if mask is not None:
        graph["m"] = node("SolidMask", value=mask, width=64, height=64)
        graph["frame"]["inputs"]["mask"] = ["m", 0]
    run = server.run(graph)
    assert run.status == "error"
    assert "FiceError" in run.error["exception_type"], run.error
    return run.error["exception_message"]


def test_mistakes_are_told_on_the_node(server, photo):
    Image.new("RGB", (300, 200), "grey").save(server.folder / "input" / "nobody.png")
    assert "no person of at least 32 pixels" in _frame_message(server, "nobody.png")
    assert "there is no person 7" in _frame_message(server, person=7)
    assert "must be four whole numbers" in _frame_message(server, box="a box")
    assert "is empty" in _frame_message(server, box="10, 10, 10, 10")
    assert "lies outside" in _frame_message(server, box="2000, 10, 2100, 200")
    assert "at least 32 are needed" in _frame_message(server, box="[10, 10, 20, 20]")
    assert "mask of the person is empty" in _frame_message(server, mask=0.0)
    assert "both a mask and a box" in _frame_message(server, mask=1.0, box="0 0 200 200")


def test_the_photo_must_be_the_one_that_was_framed(server, photo):
    graph = _there_and_back()
    graph["unframe"]["inputs"]["original"] = ["frame", 0]
    run = server.run(graph)
    assert run.status == "error"
    assert "connect the photo that was framed" in run.error["exception_message"]


def test_refined_and_tuned_it_is_closer_to_the_photo(server):
    """And tuning leaves the generator of other nodes as it was."""
    graph = {
        **{k: v for k, v in stages(1).items() if k in ("figure", "generator", "encoder")},
        "segmenter": node("FICE_LoadSegmenter", file=DEMO),
        "latent": stages(1)["latent"],
        "refine": node(
            "FICE_RefineLatent",
            generator=["generator", 0],
            segmenter=["segmenter", 0],
            latent=["latent", 0],
            image=["figure", 0],
            steps=12,
            frames=2,
        ),
        "tune": node(
            "FICE_TuneGenerator",
            generator=["generator", 0],
            segmenter=["segmenter", 0],
            latent=["refine", 0],
            image=["figure", 0],
            steps=12,
            seed=0,
            frames=2,
        ),
        "photo": saved(["figure", 0], "a"),
        "save": saved(["latent", 1], "b"),
        "refined": saved(["refine", 1], "c"),
    }
    for name, trace in (("refine", ["refine", 2]), ("tune", ["tune", 1])):
        graph[f"{name} frames"] = node("FICE_TraceFrames", trace=trace, hold=0)
        graph[f"{name} kept"] = saved([f"{name} frames", 0], name)
    for name, source in (("tuned", "tune"), ("plain", "generator")):
        graph[f"draw {name}"] = node(
            "FICE_DecodeLatent", generator=[source, 0], latent=["refine", 0]
        )
        graph[name] = saved([f"draw {name}", 0], name)
    run = server.run(graph)
    assert run.status == "success", run.error
    assert run.progress[-1] == (12, 12)
    assert run.previews
    for name in ("refine", "tune"):
        assert len(run.outputs(f"{name} kept")["images"]) == 2, name
    found = {
        name: saved_images(server, run, name)[0].astype(float)
        for name in ("photo", "save", "refined", "tuned", "plain")
    }
    assert np.array_equal(found["plain"], found["refined"])
    error = {name: np.abs(value - found["photo"]).mean() for name, value in found.items()}
    assert error["tuned"] < error["refined"] < error["save"]


def test_a_generator_is_tuned_to_one_photo(server):
    graph = stages(1)
    graph["other"] = node("FICE_DemoFigure", seed=108, size=128)
    graph["both"] = node("ImageBatch", image1=["figure", 0], image2=["other", 0])
    graph["latent"]["inputs"]["image"] = ["both", 0]
    graph["tune"] = node(
        "FICE_TuneGenerator",
        generator=["generator", 0],
        segmenter=["segmenter", 0],
        latent=["latent", 0],
        image=["both", 0],
        steps=2,
        seed=0,
        frames=0,
    )
    graph["draw"] = node("FICE_DecodeLatent", generator=["tune", 0], latent=["latent", 0])
    graph["save"] = saved(["draw", 0])
    run = server.run(graph)
    assert run.status == "error"
    assert "tuned to one photo, not to 2 photos" in run.error["exception_message"]


def _refine(**more):
    return {
        "photo": node("LoadImage", image="scene.png"),
        "figure": node("SolidMask", value=1.0, width=16, height=16),
        "nothing": node("SolidMask", value=0.0, width=64, height=36),
        "rough": node(
            "MaskComposite",
            destination=["nothing", 0],
            source=["figure", 0],
            x=38,
            y=15,
            operation="add",
        ),
        "refine": node(
            "FICE_RefineMask", image=["photo", 0], mask=["rough", 0], radius=0.03, **more
        ),
        "image": node("MaskToImage", mask=["refine", 0]),
        "save": saved(["image", 0], "refined"),
    }


def test_a_rough_mask_is_refined(server, photo):
    from fice_core.masks.guided_filter import refine_mask

    run = server.run(_refine())
    assert run.status == "success", run.error
    rough = torch.zeros(1, 1, 36, 64)
    rough[..., 15:31, 38:54] = 1
    from fice_core.ops.resize import resize

    image = torch.from_numpy(photo).movedim(-1, 0)[None].float() / 255
    wanted = refine_mask(image, resize(rough, SIZE))[0, 0].numpy()
    assert np.abs(saved_images(server, run)[0][..., 0] / 255 - wanted).max() < 0.02
    empty = _refine()
    empty["refine"]["inputs"]["mask"] = ["nothing", 0]
    run = server.run(empty)
    assert run.status == "error"
    assert "nothing to refine" in run.error["exception_message"]


def test_segment_anything_is_asked(server, photo):
    """By a tiny random network in the folder that other packs use."""
    from checkpoint_writers import tiny_sam

    folder = server.folder / "models" / "sams"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(tiny_sam().model.state_dict(), folder / "tiny.pth")
    listed = server.get("/object_info/FICE_LoadSAM")["FICE_LoadSAM"]["input"]["required"]["file"]
    assert listed[1]["options"] == ["tiny.pth"]
    graph = _refine(sam=["sam", 0], pose=["pose", 0])
    graph["sam"] = node("FICE_LoadSAM", file="tiny.pth")
    graph["generator"] = node("FICE_LoadGenerator", file=DEMO)
    graph["densepose"] = node("FICE_LoadDensePose", file=DEMO)
    graph["pose"] = node(
        "FICE_ExtractPose",
        image=["photo", 0],
        generator=["generator", 0],
        densepose=["densepose", 0],
    )
    run = server.run(graph)
    assert run.status == "success", run.error
    assert saved_images(server, run)[0].shape == (*SIZE, 3)
