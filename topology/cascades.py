"""The component that undoes a failed cascade; Headrace has it, and a topology names it to use it."""

COMPENSATION = "cascades"


class CascadeCompensation:
    """Undoes what a command has led to, if a part of it fails and its sender wants `on_error="compensate"`.

    It collects the reports on each such command. Once all are there, and one is a failure, the source of each command
    that was carried out gets a notice, as if the command had been rejected, with the code `cascade-failed`.
    """

    name = COMPENSATION
