"""Training of the demonstration models, and of a network of one's own."""
