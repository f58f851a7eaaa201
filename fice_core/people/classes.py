"""What a pixel shows: the named classes of the truth, and groups of them."""

CLASSES = (
    "background", "face", "hair", "upper", "lower", "dress", "arms", "hands", "legs", "neck",
)  # fmt: skip
BACKGROUND, FACE, HAIR, UPPER, LOWER, DRESS, ARMS, HANDS, LEGS, NECK = range(len(CLASSES))
#: regions as sets of classes; `neck` is bare skin of neck and trunk
GROUPS: dict[str, tuple[int, ...]] = {
    "garment": (UPPER, DRESS),
    "skin": (FACE, ARMS, HANDS, LEGS, NECK),
    "hair": (HAIR,),
    "head": (FACE, HAIR),
    "body": (UPPER, LOWER, DRESS, ARMS, HANDS, LEGS, NECK),
    "background": (BACKGROUND,),
}
SUBSAMPLES = 3  # along each side of a pixel
