"""What can go wrong with a trial, told apart by who can mend it: the user, or nobody but another recipe."""


def one_line(text: str) -> str:
    """`text` with whatever is not printable written out, as `\\n`: names from files may hold anything."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text
    )


class UserError(Exception):
    """Something the user gave is wrong: one line that says what, where, and what to do. Programs exit with code 2."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class TrialFailed(Exception):
    """A trial cannot go on and ends as failed; `reason` is what the verdict says."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __reduce__(self) -> tuple[type["TrialFailed"], tuple[str]]:
        return type(self), (self.reason,)


class Diverged(TrialFailed):
    """A loss became NaN or infinite; the reason names the loss and the step."""
