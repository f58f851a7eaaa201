"""Where an edited image shows what a photo shows: shift, zoom, stretch and turn.

May import from `ops` and the layers below it.
"""
