"""What can go wrong with a trial, told apart by who can mend it: the user, or nobody but another recipe."""


class UserError(Exception):
    """Something the user gave is wrong: one line that says what, where, and what to do. Programs exit with code 2."""


class TrialFailed(Exception):
    """A trial cannot go on and ends as failed; `reason` is what the verdict says."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __reduce__(self) -> tuple[type["TrialFailed"], tuple[str]]:
        return type(self), (self.reason,)


class Diverged(TrialFailed):
    """A loss became NaN or infinite; the reason names the loss and the step."""
