"""Names and times in, text that a picture can show out."""

from __future__ import annotations


def drawable_text(text: str, longest: int) -> str:
    """Shorten a text, and replace what no font can draw: names of files may hold bytes that are no characters.

    Args:
        text: the text.
        longest: characters it may have.

    Returns:
        The text, or its beginning with an ellipsis.

    Example:
        >>> len(drawable_text("a very long name", 8))
        8
    """
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def clock_text(seconds: float, decimals: int = 0) -> str:
    """Tell a time as a player does.

    Args:
        seconds: the time, at least 0.
        decimals: digits behind the seconds.

    Returns:
        Minutes and seconds, behind the hours where there are any.

    Example:
        >>> clock_text(75.04, decimals=1), clock_text(3675)
        ('1:15.0', '1:01:15')
    """
    units = round(seconds * 10**decimals)
    whole, fraction = divmod(units, 10**decimals)
    hours, minutes = whole // 3600, whole // 60 % 60
    text = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{text}:{whole % 60:02}" + (f".{fraction:0{decimals}}" if decimals else "")
