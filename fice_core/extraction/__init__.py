"""What the networks see in a photo: code, pose, regions, anatomy, background; and what a text asks for.

May import `networks`, `ops` and what lies below them.
"""
