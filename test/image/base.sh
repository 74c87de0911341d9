#!/bin/sh
# Builds the two base images of deploy/Dockerfile from this machine's files, so that no image registry is needed:
#   base.sh <build image> <runtime image>
# The runtime image has the libraries that Node 24 needs, and neither Node nor a shell. The build image has these, and a
# few programs and npm. Needs Linux and root.
set -eu

build=$1
runtime=$2
node=$(command -v node)
npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# with_libraries <folder> <program> <place>: copies a program and the libraries that it is linked to.
with_libraries() {
  mkdir -p "$1$(dirname "$3")"
  cp -L "$2" "$1$3"
  ldd "$2" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$1$(dirname "$library")"
    cp -L "$library" "$1$library"
  done
}

# commit <folder> <image> [<flag of buildah config>…]
commit() {
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$1" / >/dev/null
  folder=$1 image=$2
  shift 2
  buildah config --env PATH=/usr/local/bin:/usr/bin:/bin "$@" "$container"
  set -- "$folder" "$image"
  buildah commit --quiet --rm --timestamp 0 "$container" "$2" >/dev/null
}

root=$work/runtime
mkdir -p "$root/etc" "$root/tmp" "$root/proc" "$root/dev"
echo 'root:x:0:0::/root:/bin/false
nonroot:x:65532:65532::/nonexistent:/bin/false' >"$root/etc/passwd"
echo 'root:x:0:
nonroot:x:65532:' >"$root/etc/group"
with_libraries "$root" "$node" /usr/local/bin/node
mv "$root/usr/local/bin/node" "$work/node"
commit "$root" "$runtime"
mv "$work/node" "$root/usr/local/bin/node"

mkdir -p "$root/root" "$root/usr/local/lib/node_modules" "$root/etc/ssl"
for program in sh env mkdir chown rm strip; do
  with_libraries "$root" "$(command -v "$program")" "/bin/$program"
done
# The bundler is linked to some that Node is not.
bundler=$(ls node_modules/@rolldown/binding-linux-*/*.node | head -1)
with_libraries "$root" "$bundler" /tmp/bundler
rm "$root/tmp/bundler"
mkdir -p "$root/usr/bin"
ln -s /bin/env "$root/usr/bin/env"
cp -R "$npm" "$root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
# npm in the build has to trust the same extra authorities as this machine's Node.
if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
  cp -L "$NODE_EXTRA_CA_CERTS" "$root/etc/ssl/extra.pem"
  commit "$root" "$build" --env NODE_EXTRA_CA_CERTS=/etc/ssl/extra.pem
else
  commit "$root" "$build"
fi
