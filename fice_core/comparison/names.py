"""Names of files in the folder of a method's edits."""


def edit_name(stitch: str, number: int) -> str:
    """The file of one edit, in `Folder.edits`."""
    return f"{number:04d}-{stitch}.png"


def output_name(number: int) -> str:
    """The file beside them that says how long the edit of a pair took."""
    return f"{number:04d}.json"
