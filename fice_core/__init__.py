"""FICE: text-conditioned fashion image editing with guided GAN inversion."""
