"""Rendered people: studio photographs of parametric adults, with everything known about them.

A Gaussian code becomes a `Person` (`attributes`), the person a posed, dressed mesh (`body`, `pose`,
`garments`, `hair`, `face`), the mesh one render in two layers (`scene`, `transport`, `truth`): what the
garment's colour cannot change, and the light that falls on the garment. `pool` puts any colour and
pattern on that light in milliseconds, and needs numpy and Pillow alone.

The renderer needs the extra `people` (anny, mitsuba, pyoidn); reading rendered shards does not.
"""
