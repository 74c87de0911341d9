#!/bin/sh
# Builds test/backends/consul-agent, a Consul agent in the version of its go.mod, and puts it where install.sh puts
# the other programs of the tests. Does nothing if it is there in that version. The first build takes many minutes,
# so only the tests of Consul itself run this; it fails if the agent cannot be built.
set -eu

dir=${TEST_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pith/bin}
source=$(cd "$(dirname "$0")/../backends/consul-agent" && pwd)
wanted=$(awk '$2 == "github.com/hashicorp/consul" || $1 == "github.com/hashicorp/consul" { print $NF; exit }' "$source/go.mod")

command -v go >/dev/null 2>&1 || {
  echo "tools: no Go: install it to test with a real Consul" >&2
  exit 1
}
# The program's own build information has a line "dep <module> <version> …".
built=$(go version -m "$dir/consul-agent" 2>/dev/null | awk '$1 == "dep" && $2 == "github.com/hashicorp/consul" { print $3; exit }')
if [ "$built" = "$wanted" ]; then exit 0; fi

echo "tools: building a Consul agent $wanted into $dir; this takes some minutes" >&2
mkdir -p "$dir"
new=$(mktemp -d "$dir/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
cd "$source"
go build -trimpath -ldflags '-s -w' -o "$new/consul-agent" . >&2
mv -f "$new/consul-agent" "$dir/consul-agent"
