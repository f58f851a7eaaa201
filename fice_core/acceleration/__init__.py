"""Networks that compute the same in less time: fused, in bfloat16, by Winograd's convolution, compiled.

May import `networks`, `ops` and what lies below them.
"""
