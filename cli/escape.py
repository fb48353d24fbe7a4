"""What comes from outside, as a terminal may show it: no character moves the cursor, or hides what others say."""


def printable(text: str, *, lines: bool = False) -> str:
    """The text with `\\x1b` and the like in place of characters that are not for print; line ends stay for `lines`."""
    if text.isprintable():  # the usual case
        return text
    return "".join(one if one.isprintable() or (lines and one in "\n\t") else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
