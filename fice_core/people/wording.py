"""The words for garments: synonyms by attribute. The first word of each is its name."""

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "white": ("white", "off-white", "ivory"),
    "yellow": ("yellow", "mustard", "golden"),
    "orange": ("orange", "tangerine"),
    "pink": ("pink", "rose", "salmon"),
    "grey": ("grey", "gray", "silver"),
    "teal": ("teal", "turquoise", "petrol"),
    "brown": ("brown", "chocolate", "tan"),
    "red": ("red", "scarlet", "crimson"),
    "purple": ("purple", "violet", "lilac"),
    "blue": ("blue", "royal blue", "cobalt"),
    "green": ("green", "emerald", "forest green"),
    "black": ("black", "jet black"),
}
PATTERN_BEFORE: dict[str, tuple[str, ...]] = {
    "plain": ("", "", "plain", "solid"),
    "stripes": ("striped", "stripy", "horizontally striped"),
    "pinstripes": ("pinstriped", "vertically striped"),
    "dots": ("polka dot", "dotted", "spotted"),
    "checks": ("checked", "plaid", "gingham", "checkered", "tartan"),
    "floral": ("floral", "flowered", "flower print"),
    "print": ("graphic", "printed", "graphic print"),
    "melange": ("melange", "mottled", "heathered", "marled"),
}
PATTERN_AFTER: dict[str, tuple[str, ...]] = {
    "plain": ("", "without a pattern", "in one colour"),
    "stripes": ("with stripes", "with horizontal stripes"),
    "pinstripes": ("with pinstripes", "with vertical stripes"),
    "dots": ("with dots", "with polka dots", "with spots"),
    "checks": ("with checks", "with a check pattern", "in plaid"),
    "floral": ("with flowers", "with a floral pattern", "with a flower print"),
    "print": ("with a graphic print", "with a print", "with a print on the chest"),
    "melange": ("in mottled yarn", "in melange cloth"),
}
SLEEVES = ("sleeveless", "short", "elbow", "long")
SLEEVE_BEFORE = (
    ("sleeveless",),
    ("short-sleeved", "short sleeve"),
    ("three-quarter sleeve", "half-sleeved"),
    ("long-sleeved", "long sleeve"),
)
SLEEVE_AFTER = (
    ("without sleeves", "with no sleeves"),
    ("with short sleeves",),
    ("with three-quarter sleeves", "with half sleeves"),
    ("with long sleeves",),
)
KINDS: dict[str, tuple[str, ...]] = {
    "tank top": ("tank top", "tank", "sleeveless top", "singlet"),
    "t-shirt": ("t-shirt", "tee", "tshirt", "short sleeve top"),
    "top": ("long sleeve top", "long-sleeved top", "long sleeve tee"),
    "polo": ("polo shirt", "polo"),
    "shirt": ("shirt", "button-up shirt", "button-down shirt"),
    "blouse": ("blouse", "button-up blouse"),
    "sweater": ("sweater", "jumper", "pullover", "knitted sweater"),
    "hoodie": ("hoodie", "hooded sweater", "hooded sweatshirt"),
    "dress": ("dress", "frock"),
}
#: the kind of a plain garment by its sleeves
BY_SLEEVE = {"sleeveless": "tank top", "short": "t-shirt", "long": "top"}
ANY_KIND = ("top", "garment", "shirt")
#: words for a kind that are said of others as well, and the sleeve that they tell all the same
LOOSE: dict[str, str] = {
    "shirt": "",
    "sleeveless top": "sleeveless",
    "short sleeve top": "short",
    "long sleeve top": "long",
    "long-sleeved top": "long",
}
NECK_BEFORE: dict[str, tuple[str, ...]] = {
    "crew": ("crew neck", "round neck"),
    "v": ("v-neck", "v neck"),
    "scoop": ("scoop neck", "low neck"),
    "collar": ("collared",),
}
NECK_AFTER: dict[str, tuple[str, ...]] = {
    "crew": ("with a round neck", "with a crew neckline"),
    "v": ("with a v-neck", "with a v neckline"),
    "scoop": ("with a scoop neck", "with a low round neckline"),
    "collar": ("with a collar", "with a collar and buttons"),
}
FABRICS: dict[str, tuple[str, ...]] = {
    "cotton": ("", "cotton", "jersey"),
    "knit": ("knitted", "knit", "woollen", "wool"),
    "satin": ("satin", "silk", "silky", "shiny"),
}
LOWERS: dict[str, tuple[str, ...]] = {
    "trousers": ("trousers", "pants"),
    "jeans": ("jeans", "denim jeans"),
    "skirt": ("a skirt",),
}
OPENINGS = (
    "", "", "a", "a", "a", "a person in a", "a person wearing a", "someone wearing a",
    "a photo of a person wearing a", "a studio photo of a person in a", "a picture of a", "wearing a",
    "a model wearing a", "a portrait of someone in a",
)  # fmt: skip
GENDERED = (
    ("a man in a", "a man wearing a", "he is wearing a", "he wears a"),
    ("a woman in a", "a woman wearing a", "she wears a", "she is wearing a"),
)
