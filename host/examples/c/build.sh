#!/bin/sh
# Builds queue.wasm beside this file: bindings out of the WIT, clang, the
# linker that comes with rustc.
set -eu
cd "$(dirname "$0")"
wit-bindgen c ../../../wit --world application --rename-world queue --out-dir build \
    --rename pagebox:pager/pager@0.2.0=pager \
    --rename pagebox:pager/page-store@0.2.0=page \
    --rename pagebox:pager/stores@0.2.0=stores
for source in queue.c build/queue.c; do
    clang --target=wasm32-wasi -Os -Wall -Ibuild -c "$source" -o "build/$(echo "$source" | tr / -).o"
done
linker=$(rustc --print target-libdir)/../bin/wasm-component-ld
"$linker" --wasm-ld-path "$(command -v wasm-ld)" -L /usr/lib/wasm32-wasi --entry=_initialize \
    --strip-debug /usr/lib/wasm32-wasi/crt1-reactor.o build/*.o -lc -o queue.wasm
ls -l queue.wasm
