"""Small grey pictures in a terminal: two characters a pixel, so that it looks square."""

from collections.abc import Sequence

SHADES = " ░▒▓█"


def draw(pixels: Sequence[Sequence[float]], brightest: float) -> str:
    """Draw rows of numbers from 0 to ``brightest``, framed."""
    top = "┌" + "──" * len(pixels[0]) + "┐"
    bottom = "└" + "──" * len(pixels[0]) + "┘"
    rows = ("│" + "".join(shade(value, brightest) * 2 for value in row) + "│" for row in pixels)
    return "\n".join([top, *rows, bottom])


def shade(value: float, brightest: float) -> str:
    """The character that is as dark as the value."""
    share = min(max(value / brightest, 0.0), 1.0)
    return SHADES[round(share * (len(SHADES) - 1))]


def pictures(body: dict[str, object]) -> list[list[list[float]]]:
    """The pictures that a request holds under ``images``; none when it holds something else."""
    found = body.get("images")
    if not isinstance(found, list):
        return []
    return [image for image in found if _is_picture(image)]


def _is_picture(image: object) -> bool:
    return (
        isinstance(image, list)
        and bool(image)
        and all(isinstance(row, list) and len(row) == len(image) for row in image)
        and all(isinstance(value, int | float) for row in image for value in row)
    )
