"""Optional parts: `pip install 'headrace[EXTRA]'`."""


class MissingExtra(ModuleNotFoundError):
    """A package is missing that an extra installs; the text says which extra."""

    def __init__(self, extra: str, error: ModuleNotFoundError) -> None:
        super().__init__(f"{error.name} is not installed; pip install 'headrace[{extra}]' brings it", name=error.name)
