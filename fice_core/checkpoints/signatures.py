"""Tensor names that identify the network in a file, and the words for it in messages."""

from .layouts import rosinality

EXPECTED = {
    "generator": "a StyleGAN2 generator",
    "encoder": "an e4e encoder",
    "densepose": "a DensePose network",
    "segmenter": "a DeepLabV3 segmenter",
    "segformer": "a SegFormer",
    "clip": "a CLIP model",
    "sam": "a Segment Anything model",
}
# Tensors that identify a network, the most specific first. The order of kinds matters: an e4e file
# contains its generator too, and a segmenter has the tensors of an ImageNet classifier.
NETWORK_MARKS = (
    (
        "encoder",
        ("input_layer.0.weight", "styles.0.convs.0.weight", "body.0.res_layer.3.weight"),
    ),
    ("densepose", ("roi_heads.densepose_predictor.index_uv_lowres.weight",)),
    ("clip", ()),  # see `clip_detection.find_prefix`
    (
        "segmenter",
        ("backbone.conv1.weight", "classifier.4.weight", "classifier.0.convs.0.0.weight"),
    ),
    (
        "segformer",
        (
            "segformer.encoder.patch_embeddings.0.proj.weight",
            "decode_head.linear_fuse.weight",
            "decode_head.classifier.weight",
        ),
    ),
    ("generator", rosinality.MARKS),
    ("generator", ("synthesis.b4.const", "mapping.fc0.weight")),
    (
        "sam",
        (
            "image_encoder.patch_embed.proj.weight",
            "prompt_encoder.no_mask_embed.weight",
            "mask_decoder.iou_token.weight",
        ),
    ),
)
# What makes a file with the tensors of a network another one: kind, tensor below its prefix, words.
VARIANTS = (
    ("sam", "mask_decoder.hf_token.weight", "a SAM-HQ model"),
    ("sam", "prompt_encoder.bbox_top_left_embeddings.weight", "an EfficientSAM model"),
)
SAM_ADVICE = "use an original file of Segment Anything, such as sam_vit_b_01ec64.pth"
_SEGMENTER = (
    "use a DeepLabV3 such as the authors' segmentator.pt, or a SegFormer that parses clothes"
)
_DENSEPOSE = "use detectron2's model_final_162be9.pkl (densepose_rcnn_R_50_FPN_s1x)"
_CLIP = "use a CLIP model with both halves, such as OpenAI's RN50x4.pt or a folder of openai/clip-*"
_GENERATOR = (
    "use a StyleGAN2 generator: generator.pt, a .pkl of stylegan2-ada-pytorch or StyleGAN-Human"
)
_ENCODER = "use an e4e encoder that was trained for your generator"
_DIFFUSION = "networks of diffusion models are not used here"
# Other files that are common in this field, to name them in messages: marks, words, what to use instead.
# A mark that ends in a dot stands for any tensor with this part in its name.
OTHER_MARKS = (
    (("synthesis.input.freqs",), "a StyleGAN3 generator", _GENERATOR),
    (("b4.mbstd", "b4.out.weight"), "a StyleGAN2 discriminator", _GENERATOR),
    (("b4.out.weight", "b4.fc.weight"), "a StyleGAN2 discriminator", _GENERATOR),
    (("hypernet.",), "a HyperStyle model", _ENCODER),
    (("refinement_blocks.",), "a HyperStyle model", _ENCODER),
    (
        ("block0.conv.weight", "block1.conv1.weight", "block1.conv2.weight"),
        "an encoder of In-Domain GAN Inversion (IDInvert)",
        _ENCODER,
    ),
    (("stylegan_decoder.",), "a GFPGAN face restorer", _GENERATOR),
    (
        ("style_mlp.1.weight", "style_conv1.modulated_conv.weight"),
        "a StyleGAN2 generator in the layout of basicsr",
        _GENERATOR,
    ),
    (
        ("ft_layers.0.self_attn.in_proj_weight",),
        "a CodeFormer face restorer",
        "restorers of faces are not used here",
    ),
    (
        ("input_layer.0.weight", "output_layer.3.weight"),
        "an IR-SE face recogniser (ArcFace)",
        _ENCODER,
    ),
    (
        ("roi_heads.densepose_predictor.embed_lowres.weight",),
        "a DensePose CSE model (continuous surface embeddings)",
        _DENSEPOSE,
    ),
    (
        ("roi_heads.box_head.fc1.weight",),
        "a detectron2 detector without a DensePose head",
        _DENSEPOSE,
    ),
    (("model.diffusion_model.",), "a Stable Diffusion checkpoint", _DIFFUSION),
    (("double_blocks.0.img_attn.qkv.weight",), "a FLUX diffusion model", _DIFFUSION),
    (("first_stage_model.decoder.conv_in.weight",), "a diffusion autoencoder (VAE)", _DIFFUSION),
    (
        ("decoder.conv_in.weight", "encoder.conv_in.weight"),
        "a diffusion autoencoder (VAE)",
        _DIFFUSION,
    ),
    (("ip_adapter.",), "an IP-Adapter", _DIFFUSION),
    (("lora_down.weight",), "a LoRA", _DIFFUSION),
    (("encoder.block.0.layer.0.SelfAttention.q.weight",), "a T5 text encoder", _CLIP),
    # Before the halves of CLIP: it has a text tower of CLIP's.
    (
        ("vision_encoder.backbone.embeddings.patch_embeddings.projection.weight",),
        "a Segment Anything 3 model in transformers' layout",
        SAM_ADVICE,
    ),
    (
        ("vision_model.embeddings.patch_embedding.weight", "language_model."),
        "a vision-language model (LLaVA, BLIP-2 and the like)",
        _CLIP,
    ),
    (
        ("vision_model.embeddings.patch_embedding.weight", "text_model."),
        "a model with the image half of CLIP and another text tower (Chinese-CLIP, AltCLIP, BLIP)",
        _CLIP,
    ),
    (
        ("text_model.embeddings.token_embedding.weight", "vision_model."),
        "a model with the text half of CLIP and another image tower (GroupViT)",
        _CLIP,
    ),
    (
        ("text_model.embeddings.token_embedding.weight",),
        "the text half of a CLIP model (clip_l, clip_g and the like); its image half is missing",
        _CLIP,
    ),
    (
        ("vision_model.embeddings.patch_embedding.weight",),
        "the image half of a CLIP model (clip_vision); its text half is missing",
        _CLIP,
    ),
    (
        ("visual.conv1.weight", "text.transformer.embeddings.word_embeddings.weight"),
        "a CLIP model whose text tower is one of transformers (RoBERTa, XLM-R)",
        _CLIP,
    ),
    (
        ("visual.conv1.weight",),
        "the image half of a CLIP model; its text half is missing",
        _CLIP,
    ),
    (
        ("transformer.resblocks.0.ln_1.weight", "token_embedding.weight"),
        "the text half of a CLIP model; its image half is missing",
        _CLIP,
    ),
    (
        ("text_encoder.embedding_layer.weight", "image_encoder."),
        "a MobileCLIP model in its authors' layout",
        "use open_clip's file of the same model (apple/MobileCLIP-...-OpenCLIP)",
    ),
    (("sam_mask_decoder.iou_token.weight",), "a Segment Anything 2 model", SAM_ADVICE),
    (
        ("vision_encoder.backbone.patch_embed.projection.weight",),
        "a Segment Anything 2 model in transformers' layout",
        SAM_ADVICE,
    ),
    (("detector.backbone.vision_backbone.",), "a Segment Anything 3 model", SAM_ADVICE),
    (
        ("mask_decoder.hq_token.weight", "vision_encoder."),
        "a SAM-HQ model in transformers' layout",
        SAM_ADVICE,
    ),
    (
        ("vision_encoder.patch_embed.projection.weight", "mask_decoder.iou_token.weight"),
        "a Segment Anything model in transformers' layout",
        SAM_ADVICE,
    ),
    (
        ("mask_decoder.iou_token.weight", "vision_encoder.backbone.timm_model."),
        "an EdgeTAM model in transformers' layout",
        SAM_ADVICE,
    ),
    (("image_encoder.patch_embed.seq.0.c.weight",), "a MobileSAM model", SAM_ADVICE),
    (
        ("prompt_encoder.bbox_top_left_embeddings.weight",),
        "an EfficientSAM model",
        SAM_ADVICE,
    ),
    (
        ("image_encoder.patch_embed.proj.weight",),
        "the image encoder of a Segment Anything model",
        SAM_ADVICE,
    ),
    (("decode_head.linear_fuse.weight",), "a part of a SegFormer", _SEGMENTER),
    (("decode_head.linear_fuse.conv.weight",), "a SegFormer (mmsegmentation)", _SEGMENTER),
    (("fushion.0.weight",), "an SCHP human parser", _SEGMENTER),
    (("conv_in.weight", "stage1.rebnconvin.conv_s1.weight"), "an IS-Net (RMBG 1.4)", _SEGMENTER),
    (("stage1.rebnconvin.conv_s1.weight",), "a U2-Net", _SEGMENTER),
    (("bb.patch_embed.proj.weight",), "a BiRefNet (RMBG 2)", _SEGMENTER),
    (("squeeze_module.0.conv_in.weight",), "a BiRefNet (RMBG 2)", _SEGMENTER),
    (("backbone.conv1.weight", "classifier.0.weight"), "an FCN segmenter", _SEGMENTER),
    (
        ("backbone.0.0.weight", "classifier.4.weight"),
        "a DeepLabV3 segmenter with a MobileNet",
        _SEGMENTER,
    ),
    (
        ("backbone.body.conv1.weight", "roi_heads.box_predictor.cls_score.weight"),
        "a detector of torchvision (Mask R-CNN, Keypoint R-CNN and the like)",
        _DENSEPOSE,
    ),
    (
        ("conv1.weight", "layer1.0.conv1.weight", "fc.weight"),
        "an ImageNet ResNet classifier",
        "",
    ),
    (
        ("features.0.weight", "classifier.6.weight"),
        "an ImageNet VGG or AlexNet classifier",
        "",
    ),
    (("patch_embed.proj.weight", "blocks.0.attn.qkv.weight"), "a vision transformer", ""),
)
