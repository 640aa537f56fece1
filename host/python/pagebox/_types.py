"""Types of functions, which are asked for once.

wasmtime's package asks for the type of a function, and for each type that is part of
it, whenever it calls the function or is called: hundreds of calls of C for one of the
component's, since the error of each has so many cases. A type stays what it is: here
they are kept, by the type, the function or the import that they belong to.

As of `_byte_lists`, what is replaced is no part of the package's interface: it holds
for one release of it, which is checked there.
"""

from __future__ import annotations

import ctypes
from functools import cached_property, wraps
from typing import Any, Callable

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import LinkerInstance
from wasmtime.component import _enter as enter
from wasmtime.component import _func as funcs
from wasmtime.component import _linker as linkers
from wasmtime.component import _types as types

KEPT = [
    (types.FuncType, ["params", "result"]),
    (types.ListType, ["element"]),
    (types.RecordType, ["fields"]),
    (types.TupleType, ["elements"]),
    (types.VariantType, ["cases"]),
    (types.OptionType, ["payload"]),
    (types.ResultType, ["ok", "err"]),
]


def install() -> None:
    """From now on types are kept."""
    for kind, names in KEPT:
        for name in names:
            keep_property(kind, name)
    keep_result(types.VariantLikeType, "_tagged")
    keep_result(funcs.Func, "type")


def keep_property(kind: type, name: str) -> None:
    kept = cached_property(getattr(kind, name).fget)
    kept.__set_name__(kind, name)
    setattr(kind, name, kept)


def keep_result(kind: type, name: str) -> None:
    """Of a method that says the same each time. A function's store is always its own."""
    method, key = getattr(kind, name), f"{name} of the first time"

    @wraps(method)
    def kept(self: Any, *args: Any) -> Any:
        known = self.__dict__
        if key not in known:
            known[key] = method(self, *args)
        return known[key]
    setattr(kind, name, kept)


# Types that stand in for those of arguments, by their places.
Replacements = dict[int, Callable[[Any], Any]]


class Import:
    """A function that the component calls, and its type once it was called."""

    def __init__(self, function: Callable[..., Any], instead: Replacements) -> None:
        self.function, self.instead = function, instead
        self.params: list[Any] | None = None
        self.result: Any = None

    def ask_type(self, pointer: Any, store: Any) -> list[Any]:
        """The types of the arguments. wasmtime's type is there for this call only;
        those that it is made of are ours."""
        with types.FuncType._from_ptr(pointer, owner=store) as kind:
            self.result = kind.result
            self.params = [self.instead.get(at, lambda of: of)(of)
                           for at, (_, of) in enumerate(kind.params)]
        return self.params


@ffi.wasmtime_component_func_callback_t  # type: ignore[untyped-decorator]
def called(index: Any, context: Any, kind: Any, args: Any, count: Any, results: Any,
           result_count: Any) -> Any:
    """What wasmtime's package does when the component calls, for an `Import`."""
    def run(store: Any) -> None:
        it: Any = linkers.FUNCTIONS.get(index or 0)
        params = it.ask_type(kind, store) if it.params is None else it.params
        result = it.function(store, *[of.convert_from_c(args[at])
                                      for at, of in enumerate(params)])
        if it.result is not None:
            it.result.convert_to_c(store, result, results)
    return enter.catch_exceptions(context, run)


def add_function(instance: LinkerInstance, name: str, function: Import) -> None:
    """`LinkerInstance.add_func`, with types that are kept. For a linker of which there
    is one instance: the component of another one could have another type."""
    encoded = name.encode()
    error = ffi.wasmtime_component_linker_instance_add_func(
        instance.ptr(), ctypes.create_string_buffer(encoded), len(encoded), called,
        linkers.FUNCTIONS.allocate(function), linkers.func_finalize)  # type: ignore[arg-type]
    if error:
        raise WasmtimeError._from_ptr(error)
