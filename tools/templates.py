"""What is on each template and blueprint; used by `build_workflows.py`."""

from graph import Column, Graph, Node, Socket

TALL = 840  # of the node that shows the images of the optimisation
PROMPTS = (
    "a red striped long sleeve shirt\na blue polka dot t-shirt\na green checked tank top\n"
    "a black t-shirt with a graphic print"
)
READ = "Read this first"
MODELS_NOTE = (
    "**Models:** put models that were trained on photos into a folder below `models/fice`, press **R** and "
    "choose it in *Load Models*; `fice models` says what is published where. The built-in demonstration "
    "models know drawn figures only, and say so on the node."
)
OWN_PHOTO = (
    "**Your own photo:** connect *Load Image* in place of *Demo Figure*, and choose models that were "
    "trained on photos in *Load Models*."
)


def edit_your_photo(g: Graph) -> None:
    """One's own photo and models."""
    _edit_your_photo(g)


def edit_your_photo_app(g: Graph) -> None:
    """The same in the app view: a photo, a sentence, a result."""
    photo, edit, save = _edit_your_photo(g)
    g.app([(photo, "image"), (edit, "prompt"), (edit, "garment"), (edit, "seed")], [save])


def _edit_your_photo(g: Graph) -> tuple[Node, Node, Node]:
    left = g.column(330)
    left.note(
        320,
        READ,
        "## Edit your photo\n1. Choose a photo in *Load Image*.\n2. Say what the person shall wear.\n"
        "3. Press **Run**.\n\nEverything outside the garment stays, bit for bit.\n\n" + MODELS_NOTE,
    )
    photo = left.add("LoadImage", title="Your photo", tall=330, image="example.png")
    middle = g.column(400)
    models = middle.add("FICE_LoadModels")
    edit = middle.add(
        "FICE_Edit",
        tall=TALL,
        image=photo["IMAGE"],
        models=models["models"],
        prompt="a blue polka dot t-shirt",
    )
    right = g.column(420)
    save = right.add(
        "SaveImage", title="Result", tall=460, images=edit["image"], filename_prefix="fice/photo"
    )
    right.add("MaskPreview", title="Where it changed", tall=360, mask=edit["mask"])
    return photo, edit, save


def restore_any_edit(g: Graph) -> None:
    """Another model's edit comes back to the photo."""
    left = g.column(330)
    left.note(
        260,
        READ,
        "## Restore any edit\nEditors such as Qwen Image Edit or Kontext shift, zoom and re-tone the whole "
        "photo. Load the photo and its edit: *Restore Edit* finds how it moved, and takes the garment alone. "
        "*Drift Report* measures what the edit changed outside of it.\n\nConnect a mask if the found one is "
        "not what you want.",
    )
    photo = left.add("LoadImage", title="The photo", tall=330, image="example.png")
    edited = left.add("LoadImage", title="Its edit", tall=330, image="example.png")
    middle = g.column(400)
    restored = middle.add(
        "FICE_RestoreEdit", tall=440, original=photo["IMAGE"], edited=edited["IMAGE"]
    )
    drift = middle.add(
        "FICE_DriftReport",
        tall=420,
        title="What the edit changed",
        before=photo["IMAGE"],
        after=edited["IMAGE"],
        mask=restored["changed"],
    )
    right = g.column(420)
    right.add(
        "SaveImage",
        title="Restored",
        tall=460,
        images=restored["image"],
        filename_prefix="fice/restored",
    )
    right.add("MaskPreview", title="What is new", tall=330, mask=restored["changed"])
    g.column(380).add(
        "PreviewImage",
        title="Where the edit differs from the photo",
        tall=420,
        images=drift["heat map"],
    )


def garment_mask(g: Graph) -> None:
    """The garment as a mask for ComfyUI's own inpainting."""
    left = g.column(330)
    left.note(
        330,
        READ,
        "## Garment mask for inpainting\n*Garment Mask* finds the garment, ComfyUI's own inpainting "
        "replaces it, and *Restore Edit* brings everything else back, bit for bit.\n\nNeeds an inpainting "
        "checkpoint in `models/checkpoints`, such as `512-inpainting-ema.safetensors`.\n\n"
        + MODELS_NOTE,
    )
    photo = left.add("LoadImage", title="Your photo", tall=330, image="example.png")
    mask_side = g.column(330)
    models = mask_side.add("FICE_LoadModels")
    mask = mask_side.add(
        "FICE_GarmentMask", tall=250, image=photo["IMAGE"], models=models["models"]
    )
    mask_side.add("MaskPreview", title="The garment", tall=300, mask=mask["mask"])
    words = g.column(330)
    model = words.add("CheckpointLoaderSimple", ckpt_name="512-inpainting-ema.safetensors")
    positive = words.add(
        "CLIPTextEncode",
        title="What to wear",
        tall=150,
        clip=model["CLIP"],
        text="a red silk blouse, fashion photo",
    )
    negative = words.add(
        "CLIPTextEncode",
        title="What to avoid",
        tall=150,
        clip=model["CLIP"],
        text="blurry, distorted",
    )
    latent = words.add(
        "VAEEncodeForInpaint", pixels=photo["IMAGE"], vae=model["VAE"], mask=mask["mask"]
    )
    paint = g.column(330)
    sampler = paint.add(
        "KSampler",
        model=model["MODEL"],
        positive=positive["CONDITIONING"],
        negative=negative["CONDITIONING"],
        latent_image=latent["LATENT"],
    )
    painted = paint.add("VAEDecode", samples=sampler["LATENT"], vae=model["VAE"])
    restored = paint.add(
        "FICE_RestoreEdit",
        tall=420,
        original=photo["IMAGE"],
        edited=painted["IMAGE"],
        mask=mask["mask"],
    )
    g.column(440).add(
        "SaveImage",
        title="Result",
        tall=480,
        images=restored["image"],
        filename_prefix="fice/inpainted",
    )


def instruction_edit(g: Graph) -> None:
    """The person is framed for Qwen Image Edit, and the garment alone comes back."""
    left = g.column(330)
    left.note(
        400,
        READ,
        "## Frame, edit by Qwen, restore\n*Frame Person* cuts the person out in sides and a size that the "
        "editor keeps as they are. *Restore Edit* undoes how it moved the person and takes the garment "
        "alone, *Unframe Person* puts that into the photo. Every other pixel stays, bit for bit.\n\n"
        "Needs Qwen Image Edit 2511 with its text encoder and VAE; the three loaders name the files. Any "
        "other editor fits between *Frame Person* and *Restore Edit*.\n\n" + MODELS_NOTE,
    )
    photo = left.add("LoadImage", title="Your photo", tall=330, image="example.png")
    framing = g.column(330)
    models = framing.add("FICE_LoadModels")
    frame = framing.add(
        "FICE_FramePerson",
        image=photo["IMAGE"],
        generator=models["generator"],
        segmenter=models["segmenter"],
        multiple_of="16",
        megapixels=1.0,
    )
    framing.add("PreviewImage", title="The person", tall=300, images=frame["image"])
    loading = g.column(330)
    model = loading.add(
        "UNETLoader", unet_name="qwen_image_edit_2511_fp8mixed.safetensors", weight_dtype="default"
    )
    clip = loading.add(
        "CLIPLoader",
        clip_name="qwen_2.5_vl_7b_fp8_scaled.safetensors",
        type="qwen_image",
        device="default",
    )
    vae = loading.add("VAELoader", vae_name="qwen_image_vae.safetensors")
    shifted = loading.add("ModelSamplingAuraFlow", model=model["MODEL"], shift=3.1)
    normed = loading.add("CFGNorm", model=shifted["MODEL"])
    editing = g.column(360)
    words = {"clip": clip["CLIP"], "vae": vae["VAE"], "image1": frame["image"]}
    positive = editing.add(
        "TextEncodeQwenImageEditPlus",
        title="What to change",
        tall=240,
        prompt="Replace the top with a red silk blouse. Keep everything else as it is.",
        **words,
    )
    negative = editing.add(
        "TextEncodeQwenImageEditPlus", title="What to avoid", tall=240, prompt="", **words
    )
    latent = editing.add("VAEEncode", pixels=frame["image"], vae=vae["VAE"])
    sampler = editing.add(
        "KSampler",
        model=normed["patched_model"],
        positive=positive["CONDITIONING"],
        negative=negative["CONDITIONING"],
        latent_image=latent["LATENT"],
        steps=40,
        cfg=3.0,
        sampler_name="euler",
        scheduler="simple",
    )
    back = g.column(380)
    edited = back.add("VAEDecode", samples=sampler["LATENT"], vae=vae["VAE"])
    restored = back.add(
        "FICE_RestoreEdit", tall=440, original=frame["image"], edited=edited["IMAGE"]
    )
    whole = back.add(
        "FICE_UnframePerson",
        image=restored["image"],
        original=photo["IMAGE"],
        frame=frame["frame"],
        mask=restored["changed"],
    )
    last = g.column(440)
    last.add(
        "SaveImage",
        title="Result",
        tall=480,
        images=whole["image"],
        filename_prefix="fice/restored",
    )
    last.add("MaskPreview", title="What is new", tall=330, mask=whole["changed"])


def drift_report(g: Graph) -> None:
    """What two edits changed outside the garment, as a grid."""
    left = g.column(330)
    left.note(
        230,
        READ,
        "## Drift report\nLoad a photo and two edits of it, by any models. The grid shows each edit beside a "
        "map of what differs from the photo; the figures are on the reports.\n\nWith a mask of the garment "
        "only the rest is measured: connect *Garment Mask*, or paint one.",
    )
    photo = left.add("LoadImage", title="The photo", tall=330, image="example.png")
    loading, measuring, laying = g.column(330), g.column(420), g.column(300)
    rows = []
    for name in ("First edit", "Second edit"):
        edited = loading.add("LoadImage", title=name, tall=360, image="example.png")
        drift = measuring.add(
            "FICE_DriftReport",
            title=f"{name}: drift",
            tall=360,
            before=photo["IMAGE"],
            after=edited["IMAGE"],
        )
        row = laying.add(
            "ImageStitch",
            title=f"{name} and its map",
            tall=360,
            image1=edited["IMAGE"],
            image2=drift["heat map"],
        )
        rows.append(row["IMAGE"])
    right = g.column(480)
    grid = right.add(
        "ImageStitch", title="Both rows", image1=rows[0], image2=rows[1], direction="down"
    )
    right.add(
        "SaveImage", title="Grid", tall=500, images=grid["IMAGE"], filename_prefix="fice/drift"
    )


def quick_edit(g: Graph) -> None:
    """The whole edit as one node."""
    left = g.column(330)
    left.note(
        230,
        READ,
        "## Try it on a drawn figure\nPress **Run**. The person stays, the garment becomes what the sentence "
        "says. Everything runs on the built-in demonstration models; nothing is downloaded.\n\nFor your own "
        "photo open the template *Edit your photo*.",
    )
    figure = left.add("FICE_DemoFigure")
    left.add("PreviewImage", title="Before", tall=360, images=figure["image"])
    edit = g.column(400).add(
        "FICE_Edit", tall=TALL, image=figure["image"], prompt="a blue polka dot t-shirt"
    )
    right = g.column(380)
    right.add(
        "SaveImage", title="After", tall=420, images=edit["image"], filename_prefix="fice/edit"
    )
    right.add("MaskPreview", title="Where it changed", tall=360, mask=edit["mask"])


def four_prompts(g: Graph) -> None:
    """One photo, four prompts."""
    left = g.column(330)
    left.note(
        220,
        READ,
        "## One photo, four prompts\nEvery line of the prompt is an edit of its own; they are computed "
        "together. With several photos, give one line for all or a line for each.\n\n" + OWN_PHOTO,
    )
    figure = left.add("FICE_DemoFigure", seed=104)
    prompts = left.add("PrimitiveStringMultiline", title="Prompts", tall=220, value=PROMPTS)
    middle = g.column(400)
    models = middle.add("FICE_LoadModels")
    edit = middle.add(
        "FICE_Edit",
        tall=TALL,
        image=figure["image"],
        models=models["models"],
        prompt=prompts["STRING"],
    )
    right = g.column(640)
    sheet = right.add(
        "FICE_CompareEdits",
        tall=270,
        original=figure["image"],
        edited=edit["image"],
        captions=prompts["STRING"],
    )
    right.add(
        "SaveImage",
        title="All four",
        tall=520,
        images=sheet["sheet"],
        filename_prefix="fice/four_prompts",
    )


def mask_by_hand(g: Graph) -> None:
    """A rough mask is made exact and limits the edit."""
    left = g.column(330)
    left.note(
        400,
        READ,
        "## A mask of your own\n*Refine Mask* brings a rough mask to the edges in the photo; the edit stays "
        "within it.\n\nHere a rectangle stands for the mask. **Yours:** in *Load Image* right-click it and "
        "*Open in MaskEditor*, or take one from any pack.\n\n**With Segment Anything** the mask may be a "
        "mere hint: put `sam_vit_b_01ec64.pth` into `models/sams`, press R, choose it in *Load SAM* and "
        "unmute that node (Ctrl+M).\n\n" + OWN_PHOTO,
    )
    figure = left.add("FICE_DemoFigure", seed=102, size=512)
    models = left.add("FICE_LoadModels")
    rough = g.column(300)
    nothing = rough.add("SolidMask", title="Empty mask", value=0.0, width=512, height=512)
    square = rough.add("SolidMask", title="A rectangle", value=1.0, width=172, height=276)
    drawn = rough.add(
        "MaskComposite",
        title="A rough mask (yours goes here)",
        destination=nothing["MASK"],
        source=square["MASK"],
        x=170,
        y=158,
        operation="add",
    )
    refining = g.column(300)
    sam = refining.add("FICE_LoadSAM", muted=True)
    refined = refining.add(
        "FICE_RefineMask",
        tall=190,
        image=figure["image"],
        mask=drawn["MASK"],
        sam=sam["sam"],
        radius=0.08,
    )
    refining.add("MaskPreview", title="Refined", tall=330, mask=refined["mask"])
    edit = g.column(400).add(
        "FICE_Edit",
        tall=TALL,
        image=figure["image"],
        mask=refined["mask"],
        models=models["models"],
        prompt="a green checked tank top",
    )
    right = g.column(400)
    right.add(
        "SaveImage", title="After", tall=440, images=edit["image"], filename_prefix="fice/masked"
    )
    right.add("PreviewImage", title="Before", tall=360, images=figure["image"])


def photo_to_photo(g: Graph) -> None:
    """The person in a large photo is found, edited stage by stage, and put back."""
    first = g.column(320)
    first.note(
        340,
        READ,
        "## Person in a large photo\nThe person is a part of a larger photo. *Frame Person* finds and cuts "
        "out the person, the stages edit the crop, *Unframe Person* puts it back. Every other pixel stays, "
        "bit for bit.\n\n**Your own photo:** connect *Load Image* in place of *A larger photo*, and choose "
        "models that were trained on photos. Somebody else in it: *person*, *box*, or a mask.",
    )
    figure = first.add("FICE_DemoFigure", seed=105, size=384)
    photo = first.add(
        "ImagePadForOutpaint",
        title="A larger photo",
        image=figure["image"],
        left=288,
        top=128,
        right=288,
        bottom=0,
        feathering=0,
    )
    models = first.add("FICE_LoadModels")
    g.group("1  Photo and models", first)

    framing = g.column(320, gap=80)
    frame = framing.add(
        "FICE_FramePerson",
        image=photo["IMAGE"],
        generator=models["generator"],
        segmenter=models["segmenter"],
        framing="person",
    )
    framing.add("PreviewImage", title="The photo", tall=240, images=photo["IMAGE"])
    framing.add("PreviewImage", title="The person", tall=300, images=frame["image"])
    g.group("2  The person", framing)
    _stages(g, models, photo["IMAGE"], frame)


def _stages(g: Graph, models: Node, photo: Socket, frame: Node) -> None:
    """Add the stages of the edit, and the way back into the photo."""
    image, segmenter = frame["image"], models["segmenter"]
    critics = {"densepose": models["densepose"], "segmenter": segmenter}
    seeing = g.column(320, gap=80)
    found = _extracted(seeing, image, models)
    inverting = g.column(340)
    text = inverting.add(
        "FICE_EncodeText", tall=270, clip=models["clip"], text="a blue polka dot t-shirt"
    )
    inversion = inverting.add(
        "FICE_ConstrainedInversion",
        tall=640,
        generator=models["generator"],
        image=image,
        text=text["text"],
        segmenter=segmenter,
        **found,
    )
    g.group("3  The edit", seeing, inverting)

    stitching = g.column(320, gap=80)
    generated = inversion["generated"]
    skin = stitching.add(
        "FICE_MatchSkin",
        generated=generated,
        original=image,
        pose=found["pose"],
        segmenter=segmenter,
    )
    mask = stitching.add(
        "FICE_EditMask",
        original=image,
        initial=inversion["initial"],
        generated=generated,
        sharp=True,
        **critics,
    )
    stitched = stitching.add(
        "FICE_Stitch",
        original=image,
        generated=skin["image"],
        mask=mask["mask"],
        match_colour=True,
        match_grain=True,
    )
    last = g.column(460)
    back = last.add(
        "FICE_UnframePerson", image=stitched["image"], original=photo, frame=frame["frame"]
    )
    last.add(
        "SaveImage",
        title="Result",
        tall=440,
        images=back["image"],
        filename_prefix="fice/large_photo",
    )
    g.group("4  Back into the photo", stitching, last)


def _extracted(column: Column, image: Socket, models: Node) -> dict[str, Socket]:
    """Add what the photo shows; returns it by the inputs of the inversion."""
    generator = models["generator"]
    latent = column.add(
        "FICE_InitializeLatent",
        tall=180,
        image=image,
        generator=generator,
        encoder=models["encoder"],
    )
    pose = column.add(
        "FICE_ExtractPose", image=image, generator=generator, densepose=models["densepose"]
    )
    regions = column.add(
        "FICE_SegmentRegions", image=image, generator=generator, segmenter=models["segmenter"]
    )
    area = column.add(
        "FICE_EditArea", pose=pose["pose"], body=regions["body"], head=regions["head"]
    )
    column.add("PreviewImage", title="Body parts", tall=260, images=pose["picture"])
    return {
        "latent": latent["latent"],
        "pose": pose["pose"],
        "head": regions["head"],
        "area": area["area"],
    }


def every_stage(g: Graph) -> None:
    """Each stage as a node of its own."""
    first = g.column(320)
    first.note(
        260,
        READ,
        "## Every stage by hand\nFrom left to right: photo and models, what the photo shows, the "
        "optimisation, and the way back into the photo. Take any of it apart; masks may come from any "
        "pack.\n\n" + OWN_PHOTO,
    )
    figure = first.add("FICE_DemoFigure", seed=103)
    models = first.add("FICE_LoadModels")
    first.add("PreviewImage", title="Before", tall=300, images=figure["image"])
    g.group("1  Photo and models", first)

    image, segmenter = figure["image"], models["segmenter"]
    seeing = g.column(320, gap=80)
    found = _extracted(seeing, image, models)
    g.group("2  What the photo shows", seeing)

    wishing = g.column(320, gap=80)
    text = wishing.add(
        "FICE_EncodeText",
        tall=270,
        clip=models["clip"],
        text="a red striped long sleeve shirt",
    )
    weights = wishing.add("FICE_LossWeights")
    settings = wishing.add("FICE_InversionSettings")
    inverting = g.column(340)
    inversion = inverting.add(
        "FICE_ConstrainedInversion",
        tall=640,
        generator=models["generator"],
        image=image,
        text=text["text"],
        segmenter=segmenter,
        weights=weights["weights"],
        settings=settings["settings"],
        **found,
    )
    plot = inverting.add("FICE_PlotTrace", trace=inversion["trace"])
    inverting.add("PreviewImage", title="Losses", tall=280, images=plot["plot"])
    g.group("3  The wish and the optimisation", wishing, inverting)

    stitching = g.column(320, gap=80)
    mask = stitching.add(
        "FICE_EditMask",
        original=image,
        initial=inversion["initial"],
        generated=inversion["generated"],
        densepose=models["densepose"],
        segmenter=segmenter,
    )
    stitched = stitching.add(
        "FICE_Stitch", original=image, generated=inversion["generated"], mask=mask["mask"]
    )
    stitching.add(
        "FICE_EditMetrics",
        tall=340,
        original=image,
        edited=stitched["image"],
        mask=mask["mask"],
        pose=found["pose"],
        text=text["text"],
    )
    last = g.column(380)
    last.add(
        "SaveImage",
        title="After",
        tall=440,
        images=stitched["image"],
        filename_prefix="fice/stages",
    )
    last.add("MaskPreview", title="Where it changed", tall=380, mask=mask["mask"])
    g.group("4  Back into the photo", stitching, last)


def edit_and_upscale(g: Graph) -> None:
    """The edit, enlarged by an upscale model."""
    left = g.column(330)
    left.note(
        300,
        READ,
        "## Edit, then upscale\nNeeds an upscale model in `models/upscale_models` (any that ComfyUI loads, "
        "such as `RealESRGAN_x4plus.safetensors`).\n\nTo enlarge only the garment, upscale *generated* "
        "instead and *Stitch* it into the enlarged photo with *mask*.\n\n" + OWN_PHOTO,
    )
    figure = left.add("FICE_DemoFigure", seed=108)
    models = left.add("FICE_LoadModels")
    edit = g.column(400).add(
        "FICE_Edit",
        tall=TALL,
        image=figure["image"],
        models=models["models"],
        prompt="an orange t-shirt",
    )
    right = g.column(440)
    model = right.add("UpscaleModelLoader", model_name="RealESRGAN_x4plus.safetensors")
    enlarged = right.add(
        "ImageUpscaleWithModel", upscale_model=model["UPSCALE_MODEL"], image=edit["image"]
    )
    right.add(
        "SaveImage",
        title="Enlarged",
        tall=480,
        images=enlarged["IMAGE"],
        filename_prefix="fice/upscaled",
    )


def inpaint_refiner(g: Graph) -> None:
    """The edit, refined by a diffusion model inside the edit's mask."""
    left = g.column(330)
    left.note(
        400,
        READ,
        "## Edit, then refine by diffusion\nThe edit says what the garment looks like; a diffusion model "
        "gives it cloth and light, only where *mask* allows; *Stitch* brings the photo back everywhere "
        "else, bit for bit.\n\nNeeds an inpainting checkpoint in `models/checkpoints`, such as `512-"
        "inpainting-ema.safetensors`. A photo of 512 pixels or more makes sense.\n\nLower *denoise* keeps "
        "more of the edit.\n\n" + OWN_PHOTO,
    )
    figure = left.add("FICE_DemoFigure", seed=106, size=512)
    models = left.add("FICE_LoadModels")
    edit = g.column(400).add(
        "FICE_Edit",
        tall=TALL,
        image=figure["image"],
        models=models["models"],
        prompt="a purple v-neck tank top",
    )
    words = g.column(330)
    model = words.add("CheckpointLoaderSimple", ckpt_name="512-inpainting-ema.safetensors")
    positive = words.add(
        "CLIPTextEncode",
        title="Cloth and light",
        tall=150,
        clip=model["CLIP"],
        text="a purple silk top, fashion photo",
    )
    negative = words.add(
        "CLIPTextEncode",
        title="What to avoid",
        tall=150,
        clip=model["CLIP"],
        text="blurry, distorted",
    )
    wide = words.add("GrowMask", mask=edit["mask"], expand=6)
    paint = g.column(330)
    inpaint = paint.add(
        "InpaintModelConditioning",
        positive=positive["CONDITIONING"],
        negative=negative["CONDITIONING"],
        vae=model["VAE"],
        pixels=edit["image"],
        mask=wide["MASK"],
    )
    sampler = paint.add(
        "KSampler",
        model=model["MODEL"],
        positive=inpaint["positive"],
        negative=inpaint["negative"],
        latent_image=inpaint["latent"],
        denoise=0.45,
    )
    refined = paint.add("VAEDecode", samples=sampler["LATENT"], vae=model["VAE"])
    right = g.column(400)
    stitched = right.add(
        "FICE_Stitch",
        original=figure["image"],
        generated=refined["IMAGE"],
        mask=edit["mask"],
    )
    right.add(
        "SaveImage",
        title="Refined",
        tall=440,
        images=stitched["image"],
        filename_prefix="fice/refined",
    )


def latent_play(g: Graph) -> None:
    """Latent codes: sample, mix, edit, save."""
    left = g.column(320)
    left.note(
        270,
        READ,
        "## Latent play\nTwo people that the generator invents; the first in the second's colours; that one "
        "edited; its code saved.\n\n**Go on another day:** *Load Latent* takes the saved file in place "
        "of *Second's colours on the first* (unmute it, press R, choose the file).",
    )
    generator = left.add("FICE_LoadGenerator")["generator"]
    first = left.add("FICE_SampleLatent", title="First person", generator=generator, seed=12)
    second = left.add("FICE_SampleLatent", title="Second person", generator=generator, seed=5)
    mixing = g.column(320)
    mixed = mixing.add(
        "FICE_BlendLatents",
        title="Second's colours on the first",
        first=first["latent"],
        second=second["latent"],
        amount=1.0,
        first_layer=6,
    )
    mixing.add("FICE_LoadLatent", muted=True)
    clip = mixing.add("FICE_LoadCLIP")
    text = mixing.add("FICE_EncodeText", tall=270, clip=clip["clip"], text="a blue striped t-shirt")
    drawing = g.column(280)
    drawn = {}
    for node, title in ((first, "First"), (second, "Second"), (mixed, "Mixed")):
        drawn[title] = drawing.add(
            "FICE_DecodeLatent",
            title=f"Draw: {title}",
            generator=generator,
            latent=node["latent"],
        )
        drawing.add("PreviewImage", title=title, tall=240, images=drawn[title]["image"])
    editing = g.column(340)
    again = editing.add(
        "FICE_ConstrainedInversion",
        title="Edit the code",
        tall=640,
        generator=generator,
        latent=mixed["latent"],
        image=drawn["Mixed"]["image"],
        text=text["text"],
    )
    saved = editing.add("FICE_SaveLatent", latent=again["latent"])
    right = g.column(380)
    final = right.add(
        "FICE_DecodeLatent",
        title="Draw what was saved",
        generator=generator,
        latent=saved["latent"],
    )
    right.add(
        "SaveImage",
        title="Edited",
        tall=440,
        images=final["image"],
        filename_prefix="fice/latent_play",
    )


def optimisation_video(g: Graph) -> None:
    """The images of the optimisation as a video."""
    left = g.column(330)
    left.note(
        220,
        READ,
        "## The optimisation as a video\n*frames* of the edit says how many images are kept, *fps* of "
        "*Create Video* how fast they follow.\n\n*start_candidates* is 0 here, so the video begins with the "
        "clothes in the photo.",
    )
    figure = left.add("FICE_DemoFigure", seed=101)
    settings = left.add("FICE_InversionSettings", start_candidates=0)
    middle = g.column(400)
    edit = middle.add(
        "FICE_Edit",
        tall=TALL,
        image=figure["image"],
        prompt="a blue polka dot t-shirt",
        settings=settings["settings"],
        frames=48,
    )
    filming = g.column(320)
    frames = filming.add("FICE_TraceFrames", trace=edit["trace"], hold=12)
    larger = filming.add(
        "ImageScaleBy", image=frames["frames"], upscale_method="lanczos", scale_by=4.0
    )
    video = filming.add("CreateVideo", images=larger["IMAGE"], fps=12.0)
    plot = filming.add("FICE_PlotTrace", trace=edit["trace"])
    filming.add("PreviewImage", title="Losses", tall=280, images=plot["plot"])
    g.column(480).add(
        "SaveVideo",
        title="Video",
        tall=600,
        video=video["VIDEO"],
        filename_prefix="fice/optimisation",
    )


def edit_clothes(g: Graph) -> None:
    """Blueprint: models and edit as one node."""
    models = g.column(400).add("FICE_LoadModels")
    edit = g.column(400).add("FICE_Edit", tall=TALL, models=models["models"])
    for name in ("image", "mask", "prompt", "garment", "preset", "seed"):
        g.expose_input(name, (edit, name))
    g.expose_input("models", (models, "models"))
    g.expose_output("image", edit["image"])
    g.expose_output("mask", edit["mask"])


def restore_edit(g: Graph) -> None:
    """Blueprint: an edit is restored and measured."""
    restored = g.column(400).add("FICE_RestoreEdit", tall=440)
    drift = g.column(400).add("FICE_DriftReport", tall=420, mask=restored["changed"])
    g.expose_input("photo", (restored, "original"), (drift, "before"))
    g.expose_input("edited", (restored, "edited"), (drift, "after"))
    g.expose_input("mask", (restored, "mask"))
    for name in ("garment", "blend"):
        g.expose_input(name, (restored, name))
    g.expose_output("image", restored["image"])
    g.expose_output("changed", restored["changed"])
    g.expose_output("drift of the edit", drift["report"])
