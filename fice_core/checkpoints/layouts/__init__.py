"""Published layouts of weights: how their names and shapes become those of our networks.

May import `networks` and `checkpoints.reading`.
"""
