#!/bin/sh
# Builds scribble.wasm beside this file, out of the bindings of the example.
set -eu
cd "$(dirname "$0")"
bindings=../../../examples/c/build
clang --target=wasm32-wasi -Os -Wall "-I$bindings" -c scribble.c -o scribble.o
linker=$(rustc --print target-libdir)/../bin/wasm-component-ld
"$linker" --wasm-ld-path "$(command -v wasm-ld)" -L /usr/lib/wasm32-wasi --entry=_initialize \
    --strip-debug /usr/lib/wasm32-wasi/crt1-reactor.o scribble.o "$bindings/build-queue.c.o" \
    "$bindings/queue_component_type.o" -lc -o scribble.wasm
