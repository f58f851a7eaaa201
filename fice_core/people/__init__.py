"""Rendered people: studio photographs of parametric adults, with everything known about them.

A Gaussian code becomes a `Person` (`code`, `sampling`, `attributes`), the person a posed, dressed mesh
(`body`, `pose`, `garments`, `hair`, `face`), the mesh one render in two layers (`scene`, `transport`,
`shoot`): what the garment's colour cannot change, and the light that falls on the garment. `truth` adds what
each pixel shows. A `Record` holds all of it; `compose` puts any colour and pattern on its light in
milliseconds, and `captions` say what is there.

    python -m fice_core.people.render people --count 64      # needs the extra `people`

    from fice_core.people.pool import Pool
    from fice_core.people.compose import own_image
    image, person = own_image(Pool("people")[0])             # needs numpy and Pillow alone

`cast` and `gallery` make the bundled gallery, `dressing` the same person in another garment, `portrait` and
`compact` the truth at any size.

Only rendering needs the extra `people` (anny, mitsuba, pyoidn, warp, scipy). May import `errors` and `files`.
"""
