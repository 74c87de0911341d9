#!/bin/sh
# Builds the OpenTelemetry collector with the parts that the shipped configurations name, into the tests' tools:
# releases come as images only. Does nothing if it is there.
set -eu

dir=${TEST_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pith/bin}
cd "$(dirname "$0")/collector"
sum=$(cat go.mod main.go | cksum | tr ' ' -)
if [ -x "$dir/otelcol" ] && [ "$(cat "$dir/.otelcol" 2>/dev/null)" = "$sum" ]; then exit 0; fi
echo "tools: building the OpenTelemetry collector, which takes five minutes the first time" >&2
mkdir -p "$dir"
go build -o "$dir/.otelcol.new" .
mv -f "$dir/.otelcol.new" "$dir/otelcol"
echo "$sum" >"$dir/.otelcol"
