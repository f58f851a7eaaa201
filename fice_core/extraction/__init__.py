"""Stage 1: latent code, pose, regions and background of a photo, and the features of a prompt.

May import from `networks`, `framing`, `ops` and the layers below them.
"""
