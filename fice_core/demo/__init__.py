"""The demonstration domain: rendered figures with known ground truth, and the models trained on them."""
