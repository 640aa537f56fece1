"""Lists of bytes on their way into the component and out of it, in one piece.

wasmtime's package takes a list element by element, which is milliseconds for each
page. In C it is an array of values, so that its bytes are every nth byte of that.
Pages of a commit have a way of their own (`_held`). What is replaced here is no part of
the package's interface: it holds for one release of it, and no other is taken.
"""

from __future__ import annotations

import ctypes
from importlib import metadata
from typing import Any

from wasmtime import _ffi as ffi
from wasmtime.component import _types as types

from ._held import HeldPages

# 50.0.1 traps at the first commit of a protected page.
RELEASE = "48.0.0"

VALUE: Any = ffi.wasmtime_component_val_t
SIZE, KIND, BYTE = ctypes.sizeof(VALUE), VALUE.kind.offset, VALUE.of.offset

element_by_element_to_c = types.ListType.convert_to_c
element_by_element_from_c = types.ListType.convert_from_c


def memory(values: Any, count: int) -> memoryview:
    """The bytes of an array in C."""
    array = (ctypes.c_ubyte * (SIZE * count)).from_address(ctypes.addressof(values.contents))
    return memoryview(array).cast("B")


def convert_to_c(self: types.ListType, store: Any, val: Any, ptr: Any) -> None:
    if isinstance(val, HeldPages):
        val.convert_to_c(self, store, ptr)
        return
    if not val or not isinstance(val, bytes) or not isinstance(self.element, types.U8):
        element_by_element_to_c(self, store, val, ptr)
        return
    values = ffi.wasmtime_component_vallist_t()
    ffi.wasmtime_component_vallist_new_uninit(values, len(val))
    # In Python's memory first: there steps are quick.
    array = bytearray(SIZE * len(val))
    array[KIND::SIZE] = bytes([ffi.WASMTIME_COMPONENT_U8.value]) * len(val)
    array[BYTE::SIZE] = val
    memory(values.data, len(val))[:] = array
    ptr.contents.kind = ffi.WASMTIME_COMPONENT_LIST
    ptr.contents.of.list = values


def convert_from_c(self: types.ListType, c: Any) -> Any:
    values = c.of.list
    if not values.size or not isinstance(self.element, types.U8):
        return element_by_element_from_c(self, c)
    try:
        return bytes(memory(values.data, values.size))[BYTE::SIZE]
    finally:
        ffi.wasmtime_component_vallist_delete(ctypes.byref(values))


def install() -> None:
    """From now on all lists of bytes go this way."""
    found = metadata.version("wasmtime")
    if found != RELEASE:
        raise ImportError(f"wasmtime {RELEASE} is needed, and this is {found}: "
                          f"pip install wasmtime=={RELEASE}")
    setattr(types.ListType, "convert_to_c", convert_to_c)
    setattr(types.ListType, "convert_from_c", convert_from_c)
