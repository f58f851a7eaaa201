"""The `fice` command in this process."""

from click.testing import CliRunner, Result

from fice_core.cli import main


def fice(*arguments: object) -> Result:
    """Run a command line in this process; a defect of the program fails the test."""
    line = [str(argument) for argument in arguments]
    if line[:1] == ["edit"] and not {"--frame", "--help", "--box"} & set(line):
        line += ["--frame", "whole"]  # toy networks see no persons
    result = CliRunner().invoke(main, line)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def mistake(*arguments: object) -> str:
    """Run a command line that must fail; return its one line without "fice: "."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if not isinstance(result.exception, SystemExit):
        raise AssertionError(f"no mistake was found: {result.output!r}") from result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("fice: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    return result.stderr.removeprefix("fice: ").rstrip()


def edit_mistake(photo: object, out: object, *more: object, prompt: str = "a shirt") -> str:
    """As `mistake`, for an edit of the whole image: toy networks see no persons."""
    frame = (
        [] if {"--frame", "--box", "--person", "--person-mask"} & set(more) else ["--frame=whole"]
    )
    return mistake("edit", photo, "--prompt", prompt, "-o", out, "--steps", 2, *frame, *more)
