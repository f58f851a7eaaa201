"""Small graphs in API format."""

from typing import Any

Prompt = dict[str, dict[str, Any]]
DEMO = "demonstration model (built in)"
LOADERS = {
    "generator": "FICE_LoadGenerator",
    "encoder": "FICE_LoadEncoder",
    "clip": "FICE_LoadCLIP",
    "densepose": "FICE_LoadDensePose",
    "segmenter": "FICE_LoadSegmenter",
}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    """One node."""
    return {"class_type": kind, "inputs": inputs}


def saved(source: list[Any], prefix: str = "test") -> dict[str, Any]:
    """A node that saves an image."""
    return node("SaveImage", images=source, filename_prefix=prefix)


def quick(steps: int = 4, seed: int = 0, prompt: str = "a red shirt", **more: Any) -> Prompt:
    """A figure, the whole edit of it, and the result saved."""
    return {
        "figure": node("FICE_DemoFigure", seed=101, size=128),
        "settings": node("FICE_InversionSettings", **settings()),
        "edit": node(
            "FICE_Edit",
            **{
                "image": ["figure", 0],
                "prompt": prompt,
                "preset": "default",
                "steps": steps,
                "seed": seed,
                "settings": ["settings", 0],
                "frames": 3,
                **more,
            },
        ),
        "save": saved(["edit", 0]),
    }


def settings(**changed: Any) -> dict[str, Any]:
    """Inversion settings with few start candidates, so that tests are fast."""
    return {
        "coordinates": "whitened",
        "layer_freedom": 0.2,
        "learning_rate": 0.15,
        "schedule": "cosine",
        "plateau_patience": 25,
        "result": "best",
        "start_candidates": 16,
        "start_noise": 0.0,
        "clip_views": 0,
        "clamp": True,
        "max_batch": 8,
        **changed,
    }


#: the same in Python, for the library
SETTINGS = "EditSettings(steps={steps}, seed={seed}, start_candidates=16)"


def stages(steps: int = 4, seed: int = 0, prompt: str = "a red shirt", image: Any = None) -> Prompt:
    """Each stage as a node of its own."""
    photo = image or ["figure", 0]
    generator, segmenter = ["generator", 0], ["segmenter", 0]
    return {
        "figure": node("FICE_DemoFigure", seed=101, size=128),
        **{kind: node(loader, file=DEMO) for kind, loader in LOADERS.items()},
        "latent": node(
            "FICE_InitializeLatent", image=photo, generator=generator, encoder=["encoder", 0]
        ),
        "pose": node(
            "FICE_ExtractPose", image=photo, generator=generator, densepose=["densepose", 0]
        ),
        "regions": node(
            "FICE_SegmentRegions", image=photo, generator=generator, segmenter=segmenter
        ),
        "text": node(
            "FICE_EncodeText", clip=["clip", 0], text=prompt, negative="", negative_weight=0.5
        ),
        "area": node(
            "FICE_EditArea", pose=["pose", 0], body=["regions", 1], head=["regions", 2], margin=0.03
        ),
        "settings": node("FICE_InversionSettings", **settings()),
        "inversion": node(
            "FICE_ConstrainedInversion",
            generator=generator,
            latent=["latent", 0],
            image=photo,
            steps=steps,
            seed=seed,
            frames=3,
            text=["text", 0],
            pose=["pose", 0],
            segmenter=segmenter,
            head=["regions", 2],
            area=["area", 0],
            settings=["settings", 0],
        ),
        "mask": node(
            "FICE_EditMask",
            original=photo,
            initial=["inversion", 2],
            generated=["inversion", 1],
            densepose=["densepose", 0],
            segmenter=segmenter,
            dilation=0.01,
            feather=0.02,
            change_threshold=0.06,
        ),
        "stitch": node(
            "FICE_Stitch",
            original=photo,
            generated=["inversion", 1],
            mask=["mask", 0],
            mode="change inside the mask",
        ),
        "save": saved(["stitch", 0]),
    }


def framed(steps: int = 4, seed: int = 0, prompt: str = "a red shirt", **frame: Any) -> Prompt:
    """The stages on the person in a photo, with skin, colour and grain matched."""
    graph = stages(steps, seed, prompt, image=["frame", 0])
    graph["frame"] = node(
        "FICE_FramePerson",
        **{
            "image": ["figure", 0],
            "generator": ["generator", 0],
            "segmenter": ["segmenter", 0],
            "framing": "auto",
            "person": 0,
            "box": "",
            **frame,
        },
    )
    graph["skin"] = node(
        "FICE_MatchSkin",
        generated=["inversion", 1],
        original=["frame", 0],
        pose=["pose", 0],
        segmenter=["segmenter", 0],
    )
    graph["mask"]["inputs"]["sharp"] = True
    graph["stitch"]["inputs"] |= {
        "generated": ["skin", 0],
        "match_colour": True,
        "match_grain": True,
        "seed": seed,
    }
    graph["unframe"] = node(
        "FICE_UnframePerson", image=["stitch", 0], original=["figure", 0], frame=["frame", 1]
    )
    graph["save"] = saved(["unframe", 0])
    return graph
