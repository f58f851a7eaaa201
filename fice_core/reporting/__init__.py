"""Reports and plots of edits.

May import from `editing`, `images` and the layers below them.
"""
