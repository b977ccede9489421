"""Exceptions: UserError, which the user can correct, and TrialFailed, which only ends one trial."""


def one_line(text: str) -> str:
    """`text` with unprintable characters escaped (a newline as `\\n`), because names in files may contain anything."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text
    )


class UserError(Exception):
    """Wrong input. The message is one line: what is wrong, where, and what to do. Commands exit with code 2."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class TrialFailed(Exception):
    """A trial cannot continue and ends as failed; the search goes on. reason: one line, stored in the verdict."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __reduce__(self) -> tuple[type["TrialFailed"], tuple[str]]:
        return type(self), (self.reason,)


class Diverged(TrialFailed):
    """A loss became NaN or infinite; the reason names the loss and the step."""
