"""Waiting on conditions. No lab sleeps for a fixed time: that is either too short today or too long always."""

import time
from collections.abc import Callable


def wait_for[T](condition: Callable[[], T], timeout: float, what: str, interval: float = 0.01) -> T:
    """Ask until the answer is truthy, and return it; after `timeout` seconds fail, naming `what` was awaited.

    The condition is asked once more after the deadline, so that a machine which stood still is not a failure.
    """
    started = time.monotonic()
    while True:
        late = time.monotonic() - started >= timeout
        answer = condition()
        if answer:
            return answer
        if late:
            raise AssertionError(f"still not after {timeout:g} s: {what} (last answer: {answer!r})")
        time.sleep(interval)
        # Polling must not become the load that it waits for.
        interval = min(interval * 1.2, 0.1)
