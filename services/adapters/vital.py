"""Tasks that a service cannot live without: when one breaks, the process ends, and its supervisor starts it anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from services.adapters import logs

FAILED: Final = 3
"""The exit code of a process that broke and is to be started again."""

ResultT = TypeVar("ResultT")
log = logs.logger(__name__)


class VitalTaskFailed(Exception):
    """A task broke without which the service would be half alive; what broke it is the cause."""


class VitalTasks:
    """The tasks of one process. They wait out by themselves whatever passes; what they raise is a defect."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        """The names of the tasks that broke."""
        self._error: BaseException | None = None
        self._told: Callable[[], object] = lambda: None

    def start(self, name: str, work: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
        """Run `work` as a task. Returning is no failure, nor is being cancelled by whoever holds the task."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        return task

    def when_failed(self, tell: Callable[[], object]) -> None:
        """Call `tell` when a task breaks; at once when one already has."""
        self._told = tell
        if self.failures:
            tell()

    def check(self) -> None:
        """Raise `VitalTaskFailed` if a task broke."""
        if self.failures:
            raise VitalTaskFailed(self.failures[0]) from self._error

    def _ended(self, task: asyncio.Task[Any]) -> None:
        error = failure_of(task)
        if error is None:
            return
        log.critical("a vital task failed, the process must be restarted", task=task.get_name(), exc_info=error)
        self.failures.append(task.get_name())
        self._error = self._error or error
        self._told()


def failure_of(task: asyncio.Task[Any]) -> BaseException | None:
    """What broke a task that is done, if anything did.

    A cancellation that nobody asked the task for came from a library's own future, and ends it like any other error.
    """
    if not task.cancelled():
        return task.exception()
    return None if task.cancelling() else asyncio.CancelledError("cancelled from within")
