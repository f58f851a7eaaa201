"""Editors that FICE is compared with, on one generator: each moves or maps the code that the encoder gives.

One rival is one file; `registry.py` names all of them. All start from one `Preparation` and return the
generator's images, so that photos, texts, codes and masks are the same for each. May import `training`,
`editing` and what lies below them.
"""
