"""Why a backup was not made, is not good, or was not loaded."""


class BackupError(Exception):
    """Not done: the message says why and how to mend it, `details` lists single points."""

    def __init__(self, message: str, *details: str) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
