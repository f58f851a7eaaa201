"""Tensor names that identify the network in a file, and the words for it in messages."""

from .layouts import rosinality

EXPECTED = {
    "generator": "a StyleGAN2 generator",
    "encoder": "an e4e encoder",
    "densepose": "a DensePose network",
    "segmenter": "a DeepLabV3 segmenter",
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
# Other files that are common in this field, to name them in messages.
OTHER_MARKS = (
    (("synthesis.input.freqs",), "a StyleGAN3 generator"),
    (("b4.mbstd", "b4.out.weight"), "a StyleGAN2 discriminator"),
    (("b4.out.weight", "b4.fc.weight"), "a StyleGAN2 discriminator"),
    (("input_layer.0.weight", "output_layer.3.weight"), "an IR-SE face recogniser (ArcFace)"),
    (("roi_heads.box_head.fc1.weight",), "a detectron2 detector without a DensePose head"),
    (("text_model.embeddings.token_embedding.weight",), "a CLIP model in transformers' layout"),
    (("visual.trunk.patch_embed.proj.weight",), "a CLIP model with a timm vision tower"),
    (("image_encoder.patch_embed.proj.weight",), "the image encoder of a Segment Anything model"),
    (("image_encoder.patch_embed.seq.0.c.weight",), "a MobileSAM model"),
    (("sam_mask_decoder.iou_token.weight",), "a Segment Anything 2 model"),
    (("model.diffusion_model.input_blocks.0.0.weight",), "a Stable Diffusion checkpoint"),
    (("first_stage_model.decoder.conv_in.weight",), "a diffusion autoencoder (VAE)"),
    (("backbone.conv1.weight", "classifier.0.weight"), "an FCN segmenter"),
    (("conv1.weight", "layer1.0.conv1.weight", "fc.weight"), "an ImageNet ResNet classifier"),
    (("features.0.weight", "classifier.6.weight"), "an ImageNet VGG or AlexNet classifier"),
    (("patch_embed.proj.weight", "blocks.0.attn.qkv.weight"), "a vision transformer"),
)
