"""Where networks are published: what is known of each, without asking anyone."""

from dataclasses import dataclass

from .kinds import KIND_OF

NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Published:
    """A network that others publish.

    Attributes:
        name: as `fice models get` takes it.
        kind: of the network, see `kinds`.
        what: in a few words.
        form: of its file.
        megabytes: size of its weights; None if it is not known.
        licence: of the weights, as far as known.
        page: address of its page, or of the file.
        repository: on the Hugging Face Hub; empty if it is elsewhere, so that it cannot be fetched by name.
        files: to fetch from there, the weights first.
    """

    name: str
    kind: str
    what: str
    form: str
    megabytes: int | None
    licence: str
    page: str
    repository: str = ""
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KIND_OF:
            raise ValueError(f"there is no kind {self.kind!r}")

    @property
    def weights(self) -> str:
        """Name of the file of weights without its folder; empty if it is not fetched from the Hub."""
        return self.files[0].rpartition("/")[2] if self.files else ""


_HUB = "https://huggingface.co/"
_FICE = "https://github.com/MartinPernus/FICE"
_TRANSFORMERS = ("model.safetensors", "config.json", "preprocessor_config.json")
_TEXTS = ("tokenizer.json", "tokenizer_config.json")
_OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_config.json")
_NON_COMMERCIAL = "no licence file; its data (SHHQ) is non-commercial"
_CARD_MIT = "MIT says its card; the base model (NVIDIA's MiT) has terms of its own: " + NOT_CHECKED


def _hub(
    name: str,
    kind: str,
    what: str,
    form: str,
    megabytes: int | None,
    licence: str,
    repository: str,
    files: tuple[str, ...],
) -> Published:
    return Published(
        name, kind, what, form, megabytes, licence, _HUB + repository, repository, files
    )


PUBLISHED = (
    Published("fice-generator", "generator", "the authors' StyleGAN2, upper bodies, 256 x 256",
              "generator.pt in an archive", 190, "none stated", _FICE),
    _hub("stylegan-human-1024", "generator", "StyleGAN-Human v2, whole bodies, 1024 x 512",
         ".pkl", 364, _NON_COMMERCIAL, "public-data/StyleGAN-Human",
         ("models/stylegan_human_v2_1024.pkl",)),
    _hub("stylegan-human-512", "generator", "StyleGAN-Human v2, whole bodies, 512 x 256; faster",
         ".pkl", None, _NON_COMMERCIAL, "public-data/StyleGAN-Human",
         ("models/stylegan_human_v2_512.pkl",)),
    Published("swaggan-generator", "generator", "SwagGAN's StyleGAN2, DeepFashion, 256 x 256",
              "stylegan-deepfashion256x256_2.pt", None, "none stated",
              "https://github.com/marcusblake/SwagGAN"),
    Published("fice-encoder", "encoder", "the authors' e4e, for their generator",
              "e4e.pt in an archive", 932, "none stated", _FICE),
    Published("stylegan-human-encoder", "encoder", "e4e for StyleGAN-Human v2, 1024 x 512",
              "e4e_w+.pt on Google Drive", None, _NON_COMMERCIAL,
              "https://github.com/stylegan-human/StyleGAN-Human"),
    Published("swaggan-encoder", "encoder", "e4e for SwagGAN's generator", "e4e_deep_fashion.pt", None,
              "none stated", "https://github.com/marcusblake/SwagGAN"),
    _hub("densepose", "densepose", "detectron2's R50-FPN s1x, the file that FICE's authors used",
         ".pkl", 256, "CC BY-SA 3.0", "zhengchong/CatVTON", ("DensePose/model_final_162be9.pkl",)),
    _hub("densepose-torchscript", "densepose", "R50-FPN as TorchScript, as ControlNet packs have it",
         ".torchscript", 265, NOT_CHECKED, "hr16/DensePose-TorchScript-with-hint-image",
         ("densepose_r50_fpn_dl.torchscript",)),
    Published("fice-segmenter", "segmenter", "the authors' DeepLabV3: background, body, head",
              "segmentator.pt in an archive", None, "none stated", _FICE),
    _hub("segformer-b2-clothes", "segmenter", "SegFormer-B2, 18 classes of ATR", "transformers", None,
         _CARD_MIT, "mattmdjaga/segformer_b2_clothes", _TRANSFORMERS),
    _hub("segformer-b3-clothes", "segmenter", "SegFormer-B3, 18 classes of ATR", "transformers", 189,
         _CARD_MIT, "sayeed99/segformer_b3_clothes", _TRANSFORMERS),
    _hub("fashn-human-parser", "segmenter", "SegFormer-B4, 18 classes with hands and torso",
         "transformers", 244, "see its LICENSE: " + NOT_CHECKED, "fashn-ai/fashn-human-parser",
         _TRANSFORMERS),
    _hub("clip-rn50x4", "clip", "OpenAI's RN50x4, the paper's", "open_clip", 714, "MIT",
         "timm/resnet50x4_clip.openai", _OPEN_CLIP),
    _hub("clip-vit-b-32", "clip", "OpenAI's ViT-B/32; faster", "open_clip", None, "MIT",
         "timm/vit_base_patch32_clip_224.openai", _OPEN_CLIP),
    _hub("fashion-clip", "clip", "ViT-B/32 tuned on 800,000 fashion products", "transformers", None, "MIT",
         "patrickjohncyh/fashion-clip", (*_TRANSFORMERS, *_TEXTS)),
    _hub("marqo-fashion-clip", "clip", "ViT-B/16 tuned on fashion", "open_clip", 599,
         "MIT at its first card", "Marqo/marqo-fashionCLIP", _OPEN_CLIP),
    _hub("marqo-fashion-siglip", "clip", "SigLIP ViT-B/16 tuned on fashion", "open_clip", 813,
         "Apache-2.0", "Marqo/marqo-fashionSigLIP", (*_OPEN_CLIP, *_TEXTS)),
)  # fmt: skip
BY_NAME = {each.name: each for each in PUBLISHED}


def published_of(kind: str) -> list[Published]:
    """What is published of a kind, in the order of the table."""
    return [each for each in PUBLISHED if each.kind == kind]
