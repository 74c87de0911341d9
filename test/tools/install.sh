#!/bin/sh
# Installs the external programs of the tests, in the versions below, into a cache outside the clone:
# $TEST_TOOLS_DIR, or ~/.cache/pith/bin. Does nothing if they are there; another version here reinstalls.
# Never fails: without a program the tests that need it are skipped by name (and `make test` fails if CI is set).
set -eu

NATS_SERVER=github.com/nats-io/nats-server/v2@v2.15.2
NATS_SERVER_MIN=2.12
GRPCURL=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4

dir=${TEST_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pith/bin}
root=$(cd "$(dirname "$0")/../.." && pwd)

say() { echo "tools: $*" >&2; }

# The version in a Go program's own build information: `go version -m` has a line "mod <module> <version> …".
built_version() { go version -m "$1" 2>/dev/null | awk '$1 == "mod" { print $3; exit }'; }

# install <program> <package@version>: builds next to the target, then moves, so that no run sees half a program.
install() {
  if [ "$(built_version "$dir/$1")" = "${2##*@}" ]; then return 0; fi
  say "installing $1 ${2##*@} into $dir"
  mkdir -p "$dir"
  new=$(mktemp -d "$dir/.new.XXXXXX")
  if GOBIN=$new GOFLAGS=-mod=mod go install "$2" >&2; then
    mv -f "$new/$1" "$dir/$1"
  else
    say "$1 could not be installed"
  fi
  rm -rf "$new"
}

# True if version $1 is at least $2; both of the form 2.12 or 2.12.3.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$2" ]; }

if command -v go >/dev/null 2>&1; then
  install nats-server "$NATS_SERVER"
  install grpcurl "$GRPCURL"
fi

PATH=$dir:$PATH
if ! command -v nats-server >/dev/null 2>&1; then
  say "no nats-server: install Go, or nats-server $NATS_SERVER_MIN or newer"
else
  version=$(nats-server --version | sed 's/^[^0-9]*//')
  if ! at_least "$version" "$NATS_SERVER_MIN"; then
    say "nats-server $version is older than $NATS_SERVER_MIN: install Go, or a newer nats-server"
  fi
fi
if ! command -v grpcurl >/dev/null 2>&1; then
  say "no grpcurl: install Go, or grpcurl ${GRPCURL##*@}"
fi
