"""Writes workflows/*.json, and thumbnails of what ComfyUI makes of them.

python tools/build_workflows.py            # needs a ComfyUI, see tests/comfyui/server.py

Blueprints, which are whole graphs as one node, are written to subgraphs/*.json.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "comfyui"))

import templates  # noqa: E402
from graph import Graph, write_json  # noqa: E402
from server import EXAMPLE, Server, find_comfyui  # noqa: E402

from fice_core.demo.gallery import gallery  # noqa: E402
from workflows import ordered_inputs, to_api  # noqa: E402

WORKFLOWS = ROOT / "workflows"
SUBGRAPHS = ROOT / "subgraphs"
THUMBNAIL = 400  # pixels a side
#: nodes whose first image is shown: type, and number among the nodes of that type
Shown = tuple[tuple[str, int], ...]


def thumbnail(pictures: list[Image.Image]) -> Image.Image:
    """A square with one image, the middle halves of two, or four in two rows."""
    square = Image.new("RGB", (THUMBNAIL, THUMBNAIL), "white")
    half = THUMBNAIL // 2
    for k, picture in enumerate(pictures):
        if len(pictures) == 1:
            placed = ImageOps.pad(picture, square.size, color="white")
            place = (0, 0)
        elif len(pictures) == 2:
            placed, place = ImageOps.fit(picture, (half, THUMBNAIL)), (k * half, 0)
        else:
            placed, place = ImageOps.fit(picture, (half, half)), (k % 2 * half, k // 2 * half)
        square.paste(placed, place)
    return square


def edit_and_mask(
    workflow: dict[str, Any], info: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Prompt and shown images for templates that need a model of the user: the edit without it."""
    prompt = _edit_of(workflow)
    prompt["4"] = {"class_type": "MaskToImage", "inputs": {"mask": ["2", 1]}}
    prompt["5"] = {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}}
    return prompt, [("5", 0), ("3", 0)]


def of_a_figure(
    workflow: dict[str, Any], info: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Prompt and shown images for a photo's template: a figure in place of the photo."""
    prompt = to_api(workflow, info)
    photo = next(n for n in prompt.values() if n["class_type"] == "LoadImage")
    photo |= {"class_type": "FICE_DemoFigure", "inputs": {"seed": 104, "size": 256}}
    prompt["before"] = _previewed([_key(prompt, photo), 0])
    return prompt, [("before", 0), *_places(workflow, (("SaveImage", 0),))]


def of_a_garment(
    workflow: dict[str, Any], info: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Prompt and shown images for the mask: a figure and its garment."""
    prompt = {
        "figure": {"class_type": "FICE_DemoFigure", "inputs": {"seed": 104, "size": 256}},
        "mask": {
            "class_type": "FICE_GarmentMask",
            "inputs": {"image": ["figure", 0], "garment": "upper"},
        },
        "white": {"class_type": "MaskToImage", "inputs": {"mask": ["mask", 0]}},
        "photo": _previewed(["figure", 0]),
        "garment": _previewed(["white", 0]),
    }
    return prompt, [("photo", 0), ("garment", 0)]


def of_a_frame(
    workflow: dict[str, Any], info: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Prompt and shown images for the framed edit: a larger photo, and the frame."""
    models = {
        "class_type": "FICE_LoadModels",
        "inputs": {"models": "demonstration models (built in)"},
    }
    around = {"left": 140, "right": 180, "top": 70, "bottom": 0, "feathering": 0}
    prompt = {
        "figure": {"class_type": "FICE_DemoFigure", "inputs": {"seed": 105, "size": 384}},
        "photo": {
            "class_type": "ImagePadForOutpaint",
            "inputs": {"image": ["figure", 0], **around},
        },
        "models": models,
        "frame": {
            "class_type": "FICE_FramePerson",
            "inputs": {
                "image": ["photo", 0],
                "generator": ["models", 1],
                "segmenter": ["models", 5],
                "framing": "person",
                "person": 0,
                "box": "",
            },
        },
        "whole": _previewed(["photo", 0]),
        "person": _previewed(["frame", 0]),
    }
    return prompt, [("whole", 0), ("person", 0)]


def of_moved_edits(
    workflow: dict[str, Any], info: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Prompt and shown image for the report: the files `edited.png` and `second.png` are the edits."""
    prompt = to_api(workflow, info)
    _, first, second = (n for n in prompt.values() if n["class_type"] == "LoadImage")
    first["inputs"]["image"], second["inputs"]["image"] = "edited.png", "second.png"
    return prompt, _places(workflow, (("SaveImage", 0),))


def of_a_moved_edit(
    workflow: dict[str, Any], info: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Prompt and shown images for restored edits: the file `edited.png` is the edit."""
    prompt = to_api(workflow, info)
    photos = [n for n in prompt.values() if n["class_type"] == "LoadImage"]
    photos[1]["inputs"]["image"] = "edited.png"
    prompt["edit"] = _previewed([_key(prompt, photos[1]), 0])
    return prompt, [("edit", 0), *_places(workflow, (("SaveImage", 0),))]


def _previewed(image: list[Any]) -> dict[str, Any]:
    """A node that shows an image."""
    return {"class_type": "PreviewImage", "inputs": {"images": image}}


def _key(prompt: dict[str, Any], node: dict[str, Any]) -> str:
    return next(key for key, each in prompt.items() if each is node)


def four_frames(
    workflow: dict[str, Any], info: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Prompt and shown images for the video: four of its images."""
    prompt = _edit_of(workflow)
    prompt["2"]["inputs"]["frames"] = 48
    settings = next(n for n in workflow["nodes"] if n["type"] == "FICE_InversionSettings")
    names = [name for name, *_ in ordered_inputs(info["FICE_InversionSettings"])]
    values = dict(zip(names, settings["widgets_values"], strict=True))
    prompt["6"] = {"class_type": "FICE_InversionSettings", "inputs": values}
    prompt["2"]["inputs"]["settings"] = ["6", 0]
    prompt["4"] = {"class_type": "FICE_TraceFrames", "inputs": {"trace": ["2", 4], "hold": 0}}
    prompt["5"] = {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}}
    return prompt, [("5", 0), ("5", 5), ("5", 14), ("5", 47)]


def _edit_of(workflow: dict[str, Any]) -> dict[str, Any]:
    """Prompt of the template's edit alone, of its figure at twice the size."""
    figure, edit = (
        next(n["widgets_values"] for n in workflow["nodes"] if n["type"] == kind)
        for kind in ("FICE_DemoFigure", "FICE_Edit")
    )
    return {
        "1": {"class_type": "FICE_DemoFigure", "inputs": {"seed": figure[0], "size": 256}},
        "2": {
            "class_type": "FICE_Edit",
            "inputs": {
                "image": ["1", 0],
                "prompt": edit[0],
                "preset": "default",
                "steps": 100,
                "seed": 0,
            },
        },
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "thumbnail"},
        },
    }


def _places(workflow: dict[str, Any], shown: Shown) -> list[tuple[str, int]]:
    """Node id and number of each image that is shown."""
    ids: dict[str, list[str]] = {}
    for node in workflow["nodes"]:
        ids.setdefault(node["type"], []).append(str(node["id"]))
    return [(ids[kind][place], 0) for kind, place in shown]


#: name: the function that writes it, and what its thumbnail shows. The template browser sorts by name.
TEMPLATES: dict[str, tuple[Callable[[Graph], None], Shown | Callable[..., Any]]] = {
    "01 Edit your photo": (templates.edit_your_photo, of_a_figure),
    "02 Edit your photo.app": (templates.edit_your_photo_app, of_a_figure),
    "03 Restore any edit": (templates.restore_any_edit, of_a_moved_edit),
    "04 Garment mask for inpainting": (templates.garment_mask, of_a_garment),
    "05 Frame, edit by Qwen, restore": (templates.instruction_edit, of_a_frame),
    "06 Drift report": (templates.drift_report, of_moved_edits),
    "07 Try it on a drawn figure": (templates.quick_edit, (("PreviewImage", 0), ("SaveImage", 0))),
    "08 One photo, four prompts": (templates.four_prompts, (("SaveImage", 0),)),
    "09 A mask of your own": (templates.mask_by_hand, (("PreviewImage", 0), ("SaveImage", 0))),
    "10 Person in a large photo": (
        templates.photo_to_photo,
        (("PreviewImage", 0), ("SaveImage", 0)),
    ),
    "11 Every stage by hand": (templates.every_stage, (("PreviewImage", 0), ("SaveImage", 0))),
    "12 Edit, then upscale": (templates.edit_and_upscale, edit_and_mask),
    "13 Edit, then refine by diffusion": (templates.inpaint_refiner, edit_and_mask),
    "14 Latent play": (templates.latent_play, (("PreviewImage", 2), ("SaveImage", 0))),
    "15 The optimisation as a video": (templates.optimisation_video, four_frames),
}
#: name: the function that writes it, its description, and words by which the search finds it
BLUEPRINTS: dict[str, tuple[Callable[[Graph], None], str, list[str]]] = {
    "Edit clothes (FICE)": (
        templates.edit_clothes,
        "Edits the garment of the person in a photo as a sentence says; everything else stays, bit for bit.",
        ["change clothes", "outfit", "dress", "clothing swap", "text to clothes"],
    ),
    "Restore any edit (FICE)": (
        templates.restore_edit,
        "Brings an edit that any model made back to its photo, and measures what it changed outside the "
        "garment.",
        ["undo shift", "align", "paste back", "qwen edit drift", "kontext"],
    ),
}


def build(server: Server, info: dict[str, Any], name: str) -> None:
    """Write one template and its thumbnail."""
    write, shown = TEMPLATES[name]
    graph = Graph(info, name)
    write(graph)
    graph.write(WORKFLOWS)
    workflow = graph.as_dict()
    if callable(shown):
        prompt, places = shown(workflow, info)
    else:
        prompt, places = to_api(workflow, info), _places(workflow, shown)
    run = server.run(prompt, seconds=900)
    if run.status != "success":
        raise SystemExit(f"{name}: {json.dumps(run.error, indent=1)}")
    pictures = [
        Image.fromarray(server.image(run.outputs(node)["images"][number])).convert("RGB")
        for node, number in places
    ]
    thumbnail(pictures).save(WORKFLOWS / f"{name}.jpg", quality=90)


def _moved_edit(dark: str, light: str, zoom: float, shift: tuple[int, int]) -> Image.Image:
    """The example with a garment of another colour, shifted and zoomed as instruction editors do."""
    with Image.open(EXAMPLE) as image:
        photo = image.convert("RGB")
    sitter = gallery()[0]
    worn = Image.fromarray((sitter.portrait().region("garment") * 255).astype("uint8"))
    coloured = ImageOps.colorize(ImageOps.grayscale(photo), dark, light)
    edit = Image.composite(coloured, photo, worn.resize(photo.size))
    moved = (zoom, 0, shift[0], 0, zoom, shift[1])
    return edit.transform(edit.size, Image.Transform.AFFINE, moved, Image.Resampling.BICUBIC)


def build_blueprint(info: dict[str, Any], name: str) -> None:
    """Write one blueprint."""
    write, description, aliases = BLUEPRINTS[name]
    graph = Graph(info, name)
    write(graph)
    write_json(SUBGRAPHS / f"{name}.json", graph.as_blueprint(description, aliases))


def main() -> None:
    """Write the templates named on the command line, or all; and the blueprints."""
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("no ComfyUI: set COMFYUI_PATH")
    wanted = sys.argv[1:] or list(TEMPLATES)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(comfyui, Path(folder))
        inputs = server.folder / "input"
        _moved_edit("#200408", "#ff9aa8", 0.97, (4, 9)).save(inputs / "edited.png")
        _moved_edit("#04200c", "#a8ffb8", 1.0, (0, 1)).save(inputs / "second.png")
        try:
            info = server.wait().get("/object_info")
            for name in BLUEPRINTS:
                build_blueprint(info, name)
            for name in wanted:
                build(server, info, name)
                print(name)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
