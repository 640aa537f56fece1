"""Signals that wait until a call of the component is over."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any, Callable

Handler = Callable[[int, Any], Any]

# `signal` is made of this one, and looks up a name for each number on the way, which
# takes most of the time: there are many calls.
PLAIN: Any = sys.modules.get("_signal", signal)
get_handler: Callable[[int], Any] = PLAIN.getsignal
set_handler: Callable[[int, Any], Any] = PLAIN.signal


class SignalsHeld:
    """Python runs the handlers of signals between any two instructions of the
    main thread, those of a store's functions too. An exception of theirs, as
    KeyboardInterrupt, does not get past the WebAssembly that called: with it
    the call's answer would be lost. So they run when the call is over."""

    SIGNALS = [int(getattr(signal, name))
               for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGVTALRM",
                            "SIGPROF", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGWINCH", "SIGPIPE")
               if hasattr(signal, name)]

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}
        self._came: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # handlers run in the main thread alone
        try:
            for number in self.SIGNALS:
                handler = get_handler(number)
                # Within a call, as of a finalizer that closes another file, they
                # are held already.
                if callable(handler) and not isinstance(
                        getattr(handler, "__self__", None), SignalsHeld):
                    self._handlers[number] = handler
                    set_handler(number, self._hold)
        except BaseException:  # of a handler that is not held yet
            self._let_go()
            raise

    def _hold(self, number: int, frame: Any) -> None:
        self._came[number] = frame

    def _let_go(self) -> BaseException | None:
        """Puts the handlers back. Gives what one of them raised, which may run
        as soon as it is back."""
        raised: BaseException | None = None
        left = dict(self._handlers)
        while left:
            try:
                for number, handler in list(left.items()):
                    set_handler(number, handler)
                    left.pop(number, None)
            except BaseException as error:
                raised = raised or error
        return raised

    def __exit__(self, *_: object) -> None:
        raised = self._let_go()
        for number, frame in self._came.items():
            try:
                self._handlers[number](number, frame)
            except BaseException as error:
                raised = raised or error
        if raised is not None:
            raise raised
