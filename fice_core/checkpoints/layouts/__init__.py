"""Published layouts of weights, translated to the names and shapes of `fice_core.networks`.

May import from `networks`, `checkpoints.reading` and the layers below.
"""
