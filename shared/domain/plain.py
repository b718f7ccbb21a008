"""Text that somebody else wrote, made fit for one line of a log."""

from __future__ import annotations


def one_line(text: str, longest: int = 300) -> str:
    """Return the text cut short and on one line: what does not print (line ends, escape sequences, marks that turn the
    direction of writing) becomes a blank, so that nobody writes lines of ours or hides some.
    """
    shown = "".join(one if one.isprintable() else " " for one in text[: 4 * longest])
    return " ".join(shown.split())[:longest]
