"""Reports and plots of edits.

May import `editing`, `images` and what lies below them.
"""
