"""What a commit writes, on its way into the component and back.

A page goes in as numbers and a checksum (`held-page`), and comes back as a `change`: all
that passes through the component for it. wasmtime's package makes and takes such
records field by field, each with its name, a tenth of a millisecond for each page.
Here those that go in are copies of one in C, in which the numbers are replaced, and of
those that come back the numbers alone are read.
"""

from __future__ import annotations

from ctypes import byref, pointer
from typing import Any, NamedTuple

from wasmtime import _ffi as ffi
from wasmtime.component import Record, Variant
from wasmtime.component import _types as types

from ._figures import record

# The fields, in their order: it is that of the values in C.
HELD_PAGE = ["id", "buffer", "checksum"]
CHECKSUM = ["algorithm", "low", "high"]
HELD_CHANGE = ["page", "buffer"]


class HeldPage(NamedTuple):
    id: int
    checksum: Record


class HeldPages(list[HeldPage]):
    """Pages for `transaction.write`, at least one. The buffer of each has the number
    of its place in this list."""

    def convert_to_c(self, kind: types.ListType, store: Any, ptr: Any) -> None:
        require(kind.element, HELD_PAGE)
        require(dict(fields(kind.element))["checksum"], CHECKSUM)
        model = ffi.wasmtime_component_val_t()
        first = record(id=0, buffer=0, checksum=self[0].checksum)
        kind.element.convert_to_c(store, first, pointer(model))
        values = ffi.wasmtime_component_vallist_t()
        ffi.wasmtime_component_vallist_new_uninit(values, len(self))
        for number, page in enumerate(self):
            value = values.data[number]
            ffi.wasmtime_component_val_clone(byref(model), byref(value))
            field = value.of.record.data
            field[0].val.of.u64 = page.id
            field[1].val.of.u64 = number
            checksum = field[2].val.of.record.data
            checksum[1].val.of.u64 = getattr(page.checksum, "low")
            checksum[2].val.of.u64 = getattr(page.checksum, "high")
        ffi.wasmtime_component_val_delete(byref(model))
        ptr.contents.kind = ffi.WASMTIME_COMPONENT_LIST
        ptr.contents.of.list = values


class HeldChange(NamedTuple):
    """`held-page` of a `change`."""

    page: int
    buffer: int


class Changes:
    """The type of a list of changes, which it makes out of values in C."""

    def __init__(self, kind: types.ListType) -> None:
        element: Any = kind.element
        require(dict(element.cases)["held"], HELD_CHANGE)
        self.element = element

    def convert_from_c(self, value: Any) -> list[Variant]:
        values = value.of.list
        try:
            return [self._change(values.data[number]) for number in range(values.size)]
        finally:
            ffi.wasmtime_component_vallist_delete(byref(values))

    def _change(self, value: Any) -> Variant:
        variant = value.of.variant
        if ffi.to_bytes(variant.discriminant) == b"held":
            field = variant.val.contents.of.record.data
            return Variant("held", HeldChange(field[0].val.of.u64, field[1].val.of.u64))
        made: Variant = self.element.convert_from_c(value)
        # What was in it is gone: the list is not to give it up again.
        value.kind = ffi.WASMTIME_COMPONENT_BOOL
        value.of.boolean = False
        return made


def fields(kind: Any) -> list[tuple[str, Any]]:
    if not isinstance(kind, types.RecordType):
        raise TypeError(f"{kind} is no record")
    return kind.fields


def require(kind: Any, names: list[str]) -> None:
    """That a record has these fields: values are found by their places."""
    found = [name for name, _ in fields(kind)]
    if found != names:
        raise TypeError(f"the component has {found} where {names} are expected")
