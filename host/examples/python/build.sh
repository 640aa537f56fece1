#!/bin/sh
# Builds queue.wasm beside this file with componentize-py.
set -eu
cd "$(dirname "$0")"
componentize-py -d ../../../wit -w application componentize app -o queue.wasm
