"""Faster networks that compute the same: fusion, bfloat16, Winograd convolution, compilation.

May import from `networks`, `ops` and the layers below them.
"""
