"""Writes workflows/*.json, and thumbnails of what ComfyUI makes of them.

python tools/build_workflows.py            # needs a ComfyUI, see tests/comfyui/server.py
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

from graph import Graph, Node, Socket  # noqa: E402
from server import EXAMPLE, Server, find_comfyui  # noqa: E402

from fice_core.demo.gallery import gallery  # noqa: E402
from workflows import ordered_inputs, to_api  # noqa: E402

WORKFLOWS = ROOT / "workflows"
THUMBNAIL = 400  # pixels a side
#: nodes whose first image is shown: type, and number among the nodes of that type
Shown = tuple[tuple[str, int], ...]
OWN_PHOTO = (
    "**Your own photo:** put *Load Image* in place of *Demo Figure*, and connect loaders with models that "
    "were trained on photos: see the README."
)
PROMPTS = (
    "a red striped long sleeve shirt\na blue polka dot t-shirt\na green checked tank top\n"
    "a black t-shirt with a graphic print"
)


def _after_clip(k: int) -> int:
    """How much lower the k-th of the five loaders is because *Load CLIP*, the third, has two rows."""
    return 26 if k > 2 else 0


def quick_edit(g: Graph) -> None:
    """The whole edit as one node."""
    g.note(
        (0, 0),
        (330, 210),
        "## Fashion edit\nPress **Run**. The person stays, the garment becomes what the sentence says.\n\n"
        "Everything runs on the built-in demonstration models; nothing is downloaded.\n\n"
        + OWN_PHOTO,
    )
    figure = g.add("FICE_DemoFigure", (0, 260), width=330)
    edit = g.add(
        "FICE_Edit",
        (390, 0),
        width=400,
        height=690,
        image=figure["image"],
        prompt="a blue polka dot t-shirt",
    )
    g.add(
        "SaveImage",
        (850, 0),
        width=380,
        height=420,
        images=edit["image"],
        filename_prefix="fice/edit",
    )
    g.add(
        "MaskPreview",
        (850, 470),
        width=380,
        height=300,
        title="Where it changed",
        mask=edit["mask"],
    )
    g.add("PreviewImage", (0, 450), width=330, height=320, title="Before", images=figure["image"])


def every_stage(g: Graph) -> None:
    """Each stage as a node of its own."""
    g.note(
        (0, -50),
        (300, 190),
        "## Every stage by hand\nFrom left to right: models, what the photo shows, the optimisation, and the "
        "way back into the photo. Take any of it apart; masks may come from any pack.\n\n"
        + OWN_PHOTO,
    )
    figure = g.add("FICE_DemoFigure", (0, 260), width=300, seed=103)
    loaders = {}
    for k, (kind, name) in enumerate(
        (
            ("Generator", "generator"),
            ("Encoder", "encoder"),
            ("CLIP", "clip"),
            ("DensePose", "densepose"),
            ("Segmenter", "segmenter"),
        )
    ):
        node = g.add(f"FICE_Load{kind}", (0, 470 + 120 * k + _after_clip(k)), width=300)
        loaders[name] = node[name]
    g.group("1  Models and photo", (-20, 180, 340, 1160))

    image, generator = figure["image"], loaders["generator"]
    latent = g.add(
        "FICE_InitializeLatent",
        (380, 260),
        image=image,
        generator=generator,
        encoder=loaders["encoder"],
    )
    pose = g.add(
        "FICE_ExtractPose",
        (380, 420),
        image=image,
        generator=generator,
        densepose=loaders["densepose"],
    )
    regions = g.add(
        "FICE_SegmentRegions",
        (380, 580),
        image=image,
        generator=generator,
        segmenter=loaders["segmenter"],
    )
    text = g.add(
        "FICE_EncodeText",
        (380, 750),
        height=230,
        clip=loaders["clip"],
        text="a red striped long sleeve shirt",
    )
    area = g.add(
        "FICE_EditArea", (710, 580), pose=pose["pose"], body=regions["body"], head=regions["head"]
    )
    g.add(
        "PreviewImage",
        (710, 260),
        width=250,
        height=280,
        title="Body parts",
        images=pose["picture"],
    )
    g.group("2  What the photo shows, and the wish", (360, 180, 630, 1160))

    weights = g.add("FICE_LossWeights", (1040, 260), width=300)
    settings = g.add("FICE_InversionSettings", (1040, 600), width=300)
    inversion = g.add(
        "FICE_ConstrainedInversion",
        (1380, 260),
        width=330,
        height=600,
        generator=generator,
        latent=latent["latent"],
        image=image,
        text=text["text"],
        pose=pose["pose"],
        segmenter=loaders["segmenter"],
        head=regions["head"],
        area=area["area"],
        weights=weights["weights"],
        settings=settings["settings"],
    )
    plot = g.add("FICE_PlotTrace", (1040, 1225), width=300, trace=inversion["trace"])
    g.add("PreviewImage", (1380, 895), width=330, height=255, title="Losses", images=plot["plot"])
    g.group("3  The optimisation", (1020, 180, 710, 1160))

    mask = g.add(
        "FICE_EditMask",
        (1780, 260),
        original=image,
        initial=inversion["initial"],
        generated=inversion["generated"],
        densepose=loaders["densepose"],
        segmenter=loaders["segmenter"],
    )
    stitched = g.add(
        "FICE_Stitch",
        (1780, 610),
        original=image,
        generated=inversion["generated"],
        mask=mask["mask"],
    )
    g.add(
        "FICE_EditMetrics",
        (1780, 880),
        height=270,
        original=image,
        edited=stitched["image"],
        mask=mask["mask"],
        pose=pose["pose"],
        text=text["text"],
    )
    g.add(
        "SaveImage",
        (2100, 260),
        width=340,
        height=390,
        images=stitched["image"],
        filename_prefix="fice/stages",
    )
    g.add("MaskPreview", (2100, 700), width=340, height=430, mask=mask["mask"])
    g.group("4  Back into the photo", (1760, 180, 700, 1160))


def four_prompts(g: Graph) -> None:
    """One photo, four prompts."""
    g.note(
        (0, 0),
        (330, 190),
        "## One photo, four prompts\nEvery line of the prompt is an edit of its own; they are computed "
        "together. With several photos, give one line for all or a line for each.\n\n" + OWN_PHOTO,
    )
    figure = g.add("FICE_DemoFigure", (0, 240), width=330, seed=104)
    prompts = g.add(
        "PrimitiveStringMultiline", (0, 400), width=330, height=180, title="Prompts", value=PROMPTS
    )
    edit = g.add(
        "FICE_Edit",
        (390, 0),
        width=400,
        height=690,
        image=figure["image"],
        prompt=prompts["STRING"],
    )
    sheet = g.add(
        "FICE_CompareEdits",
        (850, 0),
        width=300,
        height=230,
        original=figure["image"],
        edited=edit["image"],
        captions=prompts["STRING"],
    )
    g.add(
        "SaveImage",
        (1210, 0),
        width=640,
        height=420,
        images=sheet["sheet"],
        filename_prefix="fice/four_prompts",
    )


def latent_play(g: Graph) -> None:
    """Latent codes: sample, mix, edit, save."""
    g.note(
        (0, 0),
        (300, 230),
        "## Latent play\nTwo people that the generator invents; the first in the second's colours; that one "
        "edited; its code saved.\n\n**Go on another day:** *Load Latent* takes the saved file in place "
        "of *Blend Latents* (unmute it, press R, choose the file).",
    )
    generator = g.add("FICE_LoadGenerator", (0, 290), width=300)
    first = g.add(
        "FICE_SampleLatent", (0, 420), width=300, generator=generator["generator"], seed=12
    )
    second = g.add(
        "FICE_SampleLatent", (0, 640), width=300, generator=generator["generator"], seed=5
    )
    mixed = g.add(
        "FICE_BlendLatents",
        (360, 420),
        first=first["latent"],
        second=second["latent"],
        amount=1.0,
        first_layer=6,
        title="Second's colours on the first",
    )
    for k, (node, title) in enumerate(((first, "First"), (second, "Second"), (mixed, "Mixed"))):
        drawn = g.add(
            "FICE_DecodeLatent",
            (700, 290 + 330 * k),
            width=220,
            title=f"Draw: {title}",
            generator=generator["generator"],
            latent=node["latent"],
        )
        g.add(
            "PreviewImage",
            (960, 290 + 330 * k),
            width=230,
            height=280,
            title=title,
            images=drawn["image"],
        )
    g.add("FICE_LoadLatent", (360, 650), width=280, muted=True)
    clip = g.add("FICE_LoadCLIP", (1260, 256), width=300)
    text = g.add(
        "FICE_EncodeText",
        (1260, 400),
        width=300,
        height=220,
        clip=clip["clip"],
        text="a blue striped t-shirt",
    )
    drawn = g.add(
        "FICE_DecodeLatent",
        (1260, 660),
        width=300,
        title="What to hold on to",
        generator=generator["generator"],
        latent=mixed["latent"],
    )
    again = g.add(
        "FICE_ConstrainedInversion",
        (1620, 290),
        width=320,
        height=430,
        title="Edit the code",
        generator=generator["generator"],
        latent=mixed["latent"],
        image=drawn["image"],
        text=text["text"],
    )
    saved = g.add("FICE_SaveLatent", (1620, 760), width=320, latent=again["latent"])
    final = g.add(
        "FICE_DecodeLatent",
        (1620, 910),
        width=320,
        title="Draw what was saved",
        generator=generator["generator"],
        latent=saved["latent"],
    )
    g.add(
        "SaveImage",
        (2000, 290),
        width=340,
        height=390,
        images=final["image"],
        filename_prefix="fice/latent_play",
    )


def edit_and_upscale(g: Graph) -> None:
    """The edit, enlarged by an upscale model."""
    g.note(
        (0, 0),
        (330, 230),
        "## Edit, then upscale\nNeeds an upscale model of yours in `models/upscale_models` (any that Comfy"
        "UI loads, such as a 4x ESRGAN); choose it in *Load Upscale Model*.\n\nTo enlarge only the garment, "
        "upscale *generated* instead and *Stitch* it into the enlarged photo with *mask*.",
    )
    figure = g.add("FICE_DemoFigure", (0, 280), width=330, seed=108)
    edit = g.add(
        "FICE_Edit",
        (390, 0),
        width=400,
        height=690,
        image=figure["image"],
        prompt="an orange t-shirt",
    )
    model = g.add("UpscaleModelLoader", (850, 0), width=330)
    enlarged = g.add(
        "ImageUpscaleWithModel",
        (850, 130),
        width=330,
        upscale_model=model["UPSCALE_MODEL"],
        image=edit["image"],
    )
    g.add(
        "SaveImage",
        (1240, 0),
        width=460,
        height=500,
        images=enlarged["IMAGE"],
        filename_prefix="fice/upscaled",
    )


def inpaint_refiner(g: Graph) -> None:
    """The edit, refined by a diffusion model inside the edit's mask."""
    g.note(
        (0, 0),
        (330, 300),
        "## Edit, then refine by diffusion\nThe edit says what the garment looks like; a diffusion model of "
        "yours gives it cloth and light, only where *mask* allows; *Stitch* brings the photo back everywhere "
        "else, bit for bit.\n\nNeeds a checkpoint of yours in `models/checkpoints` (Stable Diffusion 1.5 or "
        "XL, best an inpainting one). A photo of 512 pixels or more makes sense.\n\nLower *denoise* keeps "
        "more of the edit.",
    )
    figure = g.add("FICE_DemoFigure", (0, 350), width=330, seed=106, size=512)
    edit = g.add(
        "FICE_Edit",
        (390, 0),
        width=400,
        height=690,
        image=figure["image"],
        prompt="a purple v-neck tank top",
    )
    model = g.add("CheckpointLoaderSimple", (850, 0), width=330)
    positive = g.add(
        "CLIPTextEncode",
        (850, 160),
        width=330,
        clip=model["CLIP"],
        text="a purple silk top, fashion photo",
    )
    negative = g.add(
        "CLIPTextEncode", (850, 350), width=330, clip=model["CLIP"], text="blurry, distorted"
    )
    wide = g.add("GrowMask", (850, 540), width=330, mask=edit["mask"], expand=6)
    inpaint = g.add(
        "InpaintModelConditioning",
        (1240, 0),
        width=300,
        positive=positive["CONDITIONING"],
        negative=negative["CONDITIONING"],
        vae=model["VAE"],
        pixels=edit["image"],
        mask=wide["MASK"],
    )
    sampler = g.add(
        "KSampler",
        (1240, 230),
        width=300,
        model=model["MODEL"],
        positive=inpaint["positive"],
        negative=inpaint["negative"],
        latent_image=inpaint["latent"],
        denoise=0.45,
    )
    refined = g.add("VAEDecode", (1600, 0), width=240, samples=sampler["LATENT"], vae=model["VAE"])
    stitched = g.add(
        "FICE_Stitch",
        (1600, 110),
        width=300,
        original=figure["image"],
        generated=refined["IMAGE"],
        mask=edit["mask"],
    )
    g.add(
        "SaveImage",
        (1600, 310),
        width=400,
        height=430,
        images=stitched["image"],
        filename_prefix="fice/refined",
    )


def optimisation_video(g: Graph) -> None:
    """The images of the optimisation as a video."""
    g.note(
        (0, 0),
        (330, 190),
        "## The optimisation as a video\n*frames* of the edit says how many images are kept, *fps* of "
        "*Create Video* how fast they follow.\n\n*start_candidates* is 0 here, so the video begins with the "
        "clothes in the photo.",
    )
    figure = g.add("FICE_DemoFigure", (0, 240), width=330, seed=101)
    settings = g.add("FICE_InversionSettings", (0, 420), width=330, start_candidates=0)
    edit = g.add(
        "FICE_Edit",
        (390, 0),
        width=400,
        height=690,
        image=figure["image"],
        prompt="a blue polka dot t-shirt",
        settings=settings["settings"],
        frames=48,
    )
    frames = g.add("FICE_TraceFrames", (850, 0), width=300, trace=edit["trace"], hold=12)
    larger = g.add(
        "ImageScaleBy",
        (850, 140),
        width=300,
        image=frames["frames"],
        upscale_method="lanczos",
        scale_by=4.0,
    )
    video = g.add("CreateVideo", (850, 290), width=300, images=larger["IMAGE"], fps=12.0)
    g.add(
        "SaveVideo",
        (1210, 0),
        width=480,
        height=560,
        video=video["VIDEO"],
        filename_prefix="fice/optimisation",
    )
    plot = g.add("FICE_PlotTrace", (850, 450), width=300, trace=edit["trace"])
    g.add("PreviewImage", (850, 540), width=300, height=260, title="Losses", images=plot["plot"])


def edit_your_photo(g: Graph) -> None:
    """One's own photo and models."""
    g.note(
        (0, 0),
        (330, 300),
        "## Edit your photo\n1. Choose a photo in *Load Image*.\n2. Put models that were trained on photos "
        "into a folder below `models/fice`, press **R** and choose it in *Load FICE Models*; `fice models` "
        "says what is published where. The built-in demonstration models know drawn figures only, and say "
        "so on the node.\n3. Say what the person wears, and press **Run**.\n\nEverything outside the "
        "garment stays, bit "
        "for bit.",
    )
    photo = g.add("LoadImage", (0, 350), width=330, height=330, image="example.png")
    models = g.add("FICE_LoadModels", (390, 0), width=400)
    edit = g.add(
        "FICE_Edit",
        (390, 240),
        width=400,
        height=720,
        image=photo["IMAGE"],
        models=models["models"],
        prompt="a blue polka dot t-shirt",
    )
    g.add(
        "SaveImage",
        (850, 0),
        width=420,
        height=460,
        images=edit["image"],
        filename_prefix="fice/photo",
    )
    g.add(
        "MaskPreview",
        (850, 510),
        width=420,
        height=300,
        title="Where it changed",
        mask=edit["mask"],
    )
    g.add("PreviewImage", (0, 730), width=330, height=300, title="Before", images=photo["IMAGE"])


def restore_any_edit(g: Graph) -> None:
    """Another model's edit comes back to the photo."""
    g.note(
        (0, 0),
        (330, 230),
        "## Restore any edit\nEditors such as Qwen Image Edit or Kontext shift, zoom and re-tone the whole "
        "photo. Load the photo and its edit: *Restore Edit* finds how it moved, and takes the garment alone. "
        "*Drift Report* measures what changed outside, before and after.\n\nConnect a mask if the found one "
        "is not what you want.",
    )
    photo = g.add(
        "LoadImage", (0, 280), width=330, height=330, title="The photo", image="example.png"
    )
    edited = g.add(
        "LoadImage", (0, 660), width=330, height=330, title="Its edit", image="example.png"
    )
    restored = g.add(
        "FICE_RestoreEdit",
        (390, 0),
        width=380,
        original=photo["IMAGE"],
        edited=edited["IMAGE"],
    )
    g.add(
        "SaveImage",
        (830, 0),
        width=420,
        height=460,
        images=restored["image"],
        filename_prefix="fice/restored",
    )
    g.add(
        "MaskPreview",
        (830, 510),
        width=420,
        height=300,
        title="What is new",
        mask=restored["changed"],
    )
    drift = g.add(
        "FICE_DriftReport",
        (390, 430),
        width=380,
        title="What the edit changed",
        before=photo["IMAGE"],
        after=edited["IMAGE"],
    )
    g.add(
        "PreviewImage",
        (390, 680),
        width=380,
        height=310,
        title="Where it differs from the photo",
        images=drift["heat map"],
    )


def photo_to_photo(g: Graph) -> None:
    """The person in a large photo is found, edited stage by stage, and put back."""
    g.note(
        (0, -150),
        (300, 270),
        "## Photo in, photo out\nThe person is a part of a larger photo. *Frame Person* finds and cuts out "
        "the person, the stages edit the crop, *Unframe Person* puts it back. Every other pixel stays, bit "
        "for bit.\n\n"
        "**Your own photo:** put *Load Image* in place of group 1, and load models that were trained on "
        "photos: see the README. Somebody else in it: *person*, *box*, or a mask.",
    )
    loaders = {}
    for k, kind in enumerate(("Generator", "Encoder", "CLIP", "DensePose", "Segmenter")):
        node = g.add(f"FICE_Load{kind}", (0, 230 + 110 * k + _after_clip(k)), width=300)
        loaders[kind.lower()] = node[kind.lower()]
    g.group("Models", (-20, 150, 340, 900))
    generator, segmenter = loaders["generator"], loaders["segmenter"]

    figure = g.add("FICE_DemoFigure", (360, 230), seed=105, size=384)
    cut = g.add(
        "FICE_SegmentRegions",
        (360, 370),
        image=figure["image"],
        generator=generator,
        segmenter=segmenter,
    )
    shape = g.add("InvertMask", (670, 520), mask=cut["background"])
    sharp = g.add(
        "FICE_RefineMask", (670, 590), image=figure["image"], mask=shape["MASK"], radius=0.03
    )
    wall = g.add("EmptyImage", (360, 520), width=280, height=150, title="A wall")
    wall.data["widgets_values"] = [960, 640, 1, 0xB8C4C8]
    photo = g.add(
        "ImageCompositeMasked",
        (670, 230),
        destination=wall["IMAGE"],
        source=figure["image"],
        mask=sharp["mask"],
        x=288,
        y=256,
    )
    g.add(
        "PreviewImage", (360, 730), width=590, height=300, title="The photo", images=photo["IMAGE"]
    )
    g.group("1  A photo (put Load Image here)", (340, 150, 630, 900))

    frame = g.add(
        "FICE_FramePerson",
        (1010, 230),
        image=photo["IMAGE"],
        generator=generator,
        segmenter=segmenter,
    )
    image = frame["image"]
    g.add("PreviewImage", (1010, 560), width=280, height=220, title="The person", images=image)
    g.group("2  The person", (990, 150, 320, 900))

    _stages(g, loaders, photo["IMAGE"], frame)


def _stages(g: Graph, models: dict[str, Socket], photo: Socket, frame: Node) -> None:
    """Add the stages of the edit, and the way back into the photo."""
    image, generator, segmenter = frame["image"], models["generator"], models["segmenter"]
    critics = {"densepose": models["densepose"], "segmenter": segmenter}
    latent = g.add(
        "FICE_InitializeLatent",
        (1350, 230),
        image=image,
        generator=generator,
        encoder=models["encoder"],
    )
    pose = g.add(
        "FICE_ExtractPose",
        (1350, 370),
        image=image,
        generator=generator,
        densepose=models["densepose"],
    )
    regions = g.add(
        "FICE_SegmentRegions", (1350, 510), image=image, generator=generator, segmenter=segmenter
    )
    area = g.add(
        "FICE_EditArea",
        (1350, 660),
        pose=pose["pose"],
        body=regions["body"],
        head=regions["head"],
    )
    text = g.add(
        "FICE_EncodeText",
        (1670, 230),
        width=320,
        height=240,
        clip=models["clip"],
        text="a blue polka dot t-shirt",
    )
    inversion = g.add(
        "FICE_ConstrainedInversion",
        (1670, 510),
        width=320,
        height=520,
        generator=generator,
        latent=latent["latent"],
        image=image,
        text=text["text"],
        pose=pose["pose"],
        segmenter=segmenter,
        head=regions["head"],
        area=area["area"],
    )
    g.group("3  The edit", (1330, 150, 680, 900))

    generated = inversion["generated"]
    skin = g.add(
        "FICE_MatchSkin",
        (2050, 230),
        generated=generated,
        original=image,
        pose=pose["pose"],
        segmenter=segmenter,
    )
    mask = g.add(
        "FICE_EditMask",
        (2050, 370),
        original=image,
        initial=inversion["initial"],
        generated=generated,
        sharp=True,
        **critics,
    )
    stitched = g.add(
        "FICE_Stitch",
        (2050, 700),
        original=image,
        generated=skin["image"],
        mask=mask["mask"],
        match_colour=True,
        match_grain=True,
    )
    back = g.add(
        "FICE_UnframePerson",
        (2370, 230),
        width=440,
        image=stitched["image"],
        original=photo,
        frame=frame["frame"],
    )
    g.add(
        "SaveImage",
        (2370, 390),
        width=440,
        height=420,
        images=back["image"],
        filename_prefix="fice/photo",
    )
    g.group("4  Back into the photo", (2030, 150, 800, 900))


def mask_by_hand(g: Graph) -> None:
    """A rough mask is made exact and limits the edit."""
    g.note(
        (0, 0),
        (330, 330),
        "## A mask of your own\n*Refine Mask* brings a rough mask to the edges in the photo; the edit stays "
        "within it.\n\nHere a rectangle stands for the mask. **Yours:** in *Load Image* right-click it and "
        "*Open in MaskEditor*, or take one from any pack.\n\n**With Segment Anything** the mask may be a "
        "mere hint: put `sam_vit_b_01ec64.pth` into `models/sams`, press R, choose it in *Load SAM* and "
        "unmute that node (Ctrl+M).\n\n" + OWN_PHOTO,
    )
    figure = g.add("FICE_DemoFigure", (0, 390), width=330, seed=102, size=512)
    nothing = g.add("SolidMask", (0, 565), width=330, title="Empty mask")
    nothing.data["widgets_values"] = [0.0, 512, 512]
    square = g.add("SolidMask", (0, 740), width=330, title="A rectangle")
    square.data["widgets_values"] = [1.0, 172, 276]
    rough = g.add(
        "MaskComposite",
        (390, 740),
        title="A rough mask (yours goes here)",
        destination=nothing["MASK"],
        source=square["MASK"],
        x=170,
        y=158,
        operation="add",
    )
    sam = g.add("FICE_LoadSAM", (390, 390), muted=True)
    refined = g.add(
        "FICE_RefineMask",
        (390, 520),
        image=figure["image"],
        mask=rough["MASK"],
        sam=sam["sam"],
        radius=0.08,
    )
    g.add("MaskPreview", (390, 0), width=280, height=330, title="Refined", mask=refined["mask"])
    edit = g.add(
        "FICE_Edit",
        (730, 0),
        width=400,
        height=760,
        image=figure["image"],
        mask=refined["mask"],
        prompt="a green checked tank top",
    )
    g.add(
        "SaveImage",
        (1190, 0),
        width=400,
        height=440,
        images=edit["image"],
        filename_prefix="fice/masked",
    )
    g.add(
        "PreviewImage", (1190, 490), width=400, height=300, title="Before", images=figure["image"]
    )


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
    return prompt, _places(workflow, (("PreviewImage", 0), ("SaveImage", 0)))


def of_a_moved_edit(
    workflow: dict[str, Any], info: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Prompt and shown images for restored edits: the file `edited.png` is the edit."""
    prompt = to_api(workflow, info)
    photos = [n for n in prompt.values() if n["class_type"] == "LoadImage"]
    photos[1]["inputs"]["image"] = "edited.png"
    prompt["edit"] = {
        "class_type": "PreviewImage",
        "inputs": {"images": [_key(prompt, photos[1]), 0]},
    }
    return prompt, [("edit", 0), *_places(workflow, (("SaveImage", 0),))]


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


#: name: the function that writes it, and what its thumbnail shows
TEMPLATES: dict[str, tuple[Callable[[Graph], None], Shown | Callable[..., Any]]] = {
    "fice_quick_edit": (quick_edit, (("PreviewImage", 0), ("SaveImage", 0))),
    "fice_edit_your_photo": (edit_your_photo, of_a_figure),
    "fice_restore_any_edit": (restore_any_edit, of_a_moved_edit),
    "fice_every_stage": (every_stage, (("PreviewImage", 0), ("SaveImage", 0))),
    "fice_photo_to_photo": (photo_to_photo, (("PreviewImage", 0), ("SaveImage", 0))),
    "fice_mask_by_hand": (mask_by_hand, (("PreviewImage", 0), ("SaveImage", 0))),
    "fice_four_prompts": (four_prompts, (("SaveImage", 0),)),
    "fice_latent_play": (latent_play, (("PreviewImage", 2), ("SaveImage", 0))),
    "fice_edit_and_upscale": (edit_and_upscale, edit_and_mask),
    "fice_inpaint_refiner": (inpaint_refiner, edit_and_mask),
    "fice_optimisation_video": (optimisation_video, four_frames),
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


def _moved_edit() -> Image.Image:
    """The example with a red garment, shifted and zoomed as instruction editors do."""
    with Image.open(EXAMPLE) as image:
        photo = image.convert("RGB")
    sitter = gallery()[0]
    worn = Image.fromarray((sitter.portrait().region("garment") * 255).astype("uint8"))
    red = ImageOps.colorize(ImageOps.grayscale(photo), "#200408", "#ff9aa8")
    edit = Image.composite(red, photo, worn.resize(photo.size))
    return edit.transform(
        edit.size, Image.Transform.AFFINE, (0.97, 0, 4, 0, 0.97, 9), Image.Resampling.BICUBIC
    )


def main() -> None:
    """Write the templates named on the command line, or all."""
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("no ComfyUI: set COMFYUI_PATH")
    wanted = sys.argv[1:] or list(TEMPLATES)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(comfyui, Path(folder))
        _moved_edit().save(server.folder / "input" / "edited.png")
        try:
            info = server.wait().get("/object_info")
            for name in wanted:
                build(server, info, name)
                print(name)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
