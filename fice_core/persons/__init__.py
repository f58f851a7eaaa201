"""The persons in a photo, and the frame around the one that is edited.

May import `extraction`, `networks`, `framing`, `ops` and what lies below them.
"""
