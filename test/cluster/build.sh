#!/bin/sh
# Builds what a cluster is made of, and keeps it: etcd, the control plane and the kubelet in one program, kwok for
# nodes that only pretend, and a nats-server for an image. Prints the folder. The first time takes 12 minutes of CPU;
# needs Linux and Go.
#   build.sh [VERSION]
set -eu

version=${1:-1.35.4}
kwok=v0.7.0
here=$(cd "$(dirname "$0")" && pwd)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/pith/cluster/$version
mkdir -p "$dir"

# Each staging module is replaced by its published v0.X of the same release: the `replace` lines of k8s.io/kubernetes
# point into its own tree, and nobody outside it follows them.
write_module() {
  minor=${version#1.}
  module=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p')
  echo 'module controlplane'
  sed -n 's/^go /\ngo /p' "$module"
  printf '\nrequire k8s.io/kubernetes v%s\n' "$version"
  # The same versions of everything else as Kubernetes was released with.
  awk '/^require \(/ { on = 1 } on { sub(/ v0\.0\.0$/, " v0.'"$minor"'"); print } /^\)/ { on = 0 }' "$module"
  echo 'replace ('
  sed -n 's#^\t\(k8s.io/[a-z-]*\) => ./staging/.*#\t\1 => \1 v0.'"$minor"'#p' "$module"
  echo ')'
}

if [ ! -x "$dir/control-plane" ]; then
  echo "cluster: building Kubernetes $version; the first time takes a quarter of an hour or more" >&2
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cp "$here/control-plane/main.go" "$work"
  (
    cd "$work"
    # Go refuses to work beside a go.mod that is still empty.
    write_module >new.mod
    mv new.mod go.mod
    name=k8s.io/component-base/version
    CGO_ENABLED=0 GOFLAGS=-mod=mod go build -o control-plane -ldflags \
      "-s -w -X $name.gitVersion=v$version -X $name.gitMajor=1 -X $name.gitMinor=$(echo "$version" | cut -d. -f2) -X $name.buildDate=1970-01-01T00:00:00Z" . >&2
    mv control-plane "$dir/control-plane"
  )
fi
if [ ! -x "$dir/kwok" ]; then
  CGO_ENABLED=0 GOBIN=$dir GOFLAGS=-mod=mod go install -ldflags '-s -w' "sigs.k8s.io/kwok/cmd/kwok@$kwok" >&2
fi
# As in test/tools/install.sh, but linked so that an image needs nothing else.
nats=$(sed -n 's/^NATS_SERVER=//p' "$here/../tools/install.sh")
if ! go version -m "$dir/nats-server" 2>/dev/null | grep -q "${nats##*@}"; then
  CGO_ENABLED=0 GOBIN=$dir GOFLAGS=-mod=mod go install -ldflags '-s -w' "$nats" >&2
fi
if [ ! -x "$dir/pause" ]; then
  (cd "$here/pause" && CGO_ENABLED=0 go build -ldflags '-s -w' -o "$dir/pause" .)
fi
echo "$dir"
