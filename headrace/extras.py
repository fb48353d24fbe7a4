"""What is installed only if it is asked for: `pip install 'headrace[EXTRA]'`."""


class MissingExtra(ModuleNotFoundError):
    """Something needs a package that an extra brings; the text says which extra to install."""

    def __init__(self, extra: str, error: ModuleNotFoundError) -> None:
        super().__init__(f"{error.name} is not installed; pip install 'headrace[{extra}]' brings it", name=error.name)
