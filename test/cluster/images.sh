#!/bin/sh
# Makes the images of the cluster as archives that containerd imports: pause, the chats in Go, nats-server, the gateway.
# Storage of its own, so that nothing else on the machine is touched.
#   images.sh FOLDER PROGRAMS   (PROGRAMS: the folder of build.sh)
set -eu

out=$1
programs=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
version=$(node -p 'require(process.argv[1]).version' "$root/package.json")
mkdir -p "$out"
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/store"\nrunroot = "%s/run"\n' "$out" "$out" >"$out/storage.conf"
export CONTAINERS_STORAGE_CONF="$out/storage.conf"

# save <image> <archive>
save() {
  rm -f "$out/$2.tar"
  buildah push --quiet "$1" "docker-archive:$out/$2.tar:$1"
}

# one_program <name> <file>: an image of one static program
one_program() {
  work=$(mktemp -d)
  mkdir -p "$work/bin" "$work/etc" "$work/tmp"
  cp "$2" "$work/bin/$1"
  echo 'nonroot:x:65532:65532::/nonexistent:/bin/false' >"$work/etc/passwd"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work" / >/dev/null
  buildah config --entrypoint "[\"/bin/$1\"]" --user 65532:65532 "$container"
  buildah commit --quiet --rm "$container" "localhost/$1:local" >/dev/null
  rm -rf "$work"
  save "localhost/$1:local" "$1"
}

# The chats are also run beside the pods.
(cd "$root/deploy/examples/chat-grpc-go" && CGO_ENABLED=0 go build -o "$out/chat" .)
(cd "$root/deploy/examples/chat-nats-go" && CGO_ENABLED=0 go build -o "$out/chat-nats" .)
one_program pause "$programs/pause"
one_program chat "$out/chat"
one_program chat-nats "$out/chat-nats"
one_program nats-server "$programs/nats-server"

sh "$root/test/image/base.sh" localhost/pith-base:local localhost/pith-runtime:local
npmrc=$(npm config get userconfig)
secret=
if [ -e "$npmrc" ]; then secret="--secret id=npmrc,src=$npmrc"; fi
# shellcheck disable=SC2086
buildah bud --isolation chroot --pull=never --layers=false --format docker --quiet \
  --build-arg BASE=localhost/pith-base:local --build-arg RUNTIME=localhost/pith-runtime:local \
  $secret -f "$root/deploy/Dockerfile" -t "localhost/pith:$version" "$root" >/dev/null
save "localhost/pith:$version" pith
