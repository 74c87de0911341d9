#!/bin/sh
# Generates these from the .proto files; all of them are committed:
#   src/gen/pith.binpb                    descriptors with comments and imports; the gateway loads and reflects them
#   deploy/examples/chat-grpc-go/gen/     Go code of pith.v1; skipped without Go
# The same input gives the same bytes. Needs `npm ci` first, and two plugins for Go, which it installs once into
# ${TEST_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pith/bin}.
set -eu

protoc_gen_go=v1.36.12
protoc_gen_go_grpc=v1.6.2

tools=${TEST_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pith/bin}
case $tools in /*) ;; *) tools=$PWD/$tools ;; esac
cd "$(dirname "$0")"
PATH=$tools:$(cd .. && pwd)/node_modules/.bin:$PATH
export PATH

# plugin NAME VERSION MODULE: installs it unless this version is already in $tools.
plugin() {
  case $("$tools/$1" --version 2>/dev/null || true) in
    *" ${2#v}" | *" $2") ;;
    *) echo "installing $1 $2 into $tools"; GOBIN=$tools go install "$3@$2" ;;
  esac
}

if ! command -v buf >/dev/null; then
  echo "gen.sh: buf is missing; run npm ci first" >&2
  exit 1
fi

mkdir -p ../src/gen
buf build . --as-file-descriptor-set -o ../src/gen/pith.binpb
echo "wrote src/gen/pith.binpb"

if ! command -v go >/dev/null; then
  echo "no Go here: deploy/examples/chat-grpc-go/gen is not updated"
  exit 0
fi
mkdir -p "$tools"
plugin protoc-gen-go "$protoc_gen_go" google.golang.org/protobuf/cmd/protoc-gen-go
plugin protoc-gen-go-grpc "$protoc_gen_go_grpc" google.golang.org/grpc/cmd/protoc-gen-go-grpc
buf generate
echo "wrote deploy/examples/chat-grpc-go/gen"
