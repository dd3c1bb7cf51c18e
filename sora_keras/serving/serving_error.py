"""What a server refused, or why it could not be asked, in words that say what to do."""

from __future__ import annotations

HINTS = {
    "NOT_FOUND": "look at the name and the version, and at what `Client.status` says of it",
    "INVALID_ARGUMENT": "compare what was sent with what `Client.metadata` says of the signature",
    "FAILED_PRECONDITION": "compare what was sent with what `Client.metadata` says of the signature",
    "RESOURCE_EXHAUSTED": "ask with fewer clients at a time, or send less at once: a smaller `batch_size` or `quality`",
    "UNAVAILABLE": "see that a server runs there and has loaded the model",
    "DEADLINE_EXCEEDED": "raise `timeout_seconds`, or send less at once: a smaller `batch_size`",
}


class Refusal(Exception):
    """One attempt that got no answer, as a transport tells the client.

    Args:
        code: of gRPC, such as `"NOT_FOUND"`, also for what came over REST.
        reason: in the server's words, where it had some.
        is_temporary: whether to try again.
    """

    def __init__(self, code: str, reason: str, is_temporary: bool = False) -> None:
        super().__init__(code, reason, is_temporary)
        self.code, self.reason, self.is_temporary = code, reason, is_temporary


class ServingError(Exception):
    """A server did not answer.

    Args:
        asked: what it was asked, and where.
        code: of gRPC, such as `"NOT_FOUND"`, also for what came over REST.
        reason: in the server's words, where it had some.
        num_tries: how many times it was asked.

    Example:
        >>> try:
        ...     client.predict(["street.mp4"])
        ... except ServingError as error:
        ...     print(error.code)
        NOT_FOUND
    """

    def __init__(self, asked: str, code: str, reason: str, num_tries: int = 1) -> None:
        super().__init__(asked, code, reason, num_tries)
        self.asked, self.code, self.reason, self.num_tries = asked, code, reason, num_tries

    def __str__(self) -> str:
        times = f" {self.num_tries} times" if self.num_tries > 1 else ""
        hint = f"; {HINTS[self.code]}." if self.code in HINTS else ""
        return f"{self.asked} was asked{times} and gave no answer: {self.code}: {self.reason.rstrip('.')}{hint}"
