#!/bin/sh
# Makes dist/pith-<version>-<platform>.tar.gz for a machine without npm and Node: this machine's Node, the package and its
# dependencies, and bin/pith. The same sources and Node give the same bytes. Needs npm, tar (GNU) and gzip.
set -eu
cd "$(dirname "$0")/../.."

version=$(node -p "require('./package.json').version")
name=pith-$version-$(node -p "process.platform + '-' + process.arch")
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/$name/bin"
node deploy/package/stage.mjs "$work/$name/lib"
cp "$(node -p process.execPath)" "$work/$name/bin/node"
chmod 755 "$work/$name/bin/node"
if command -v strip >/dev/null; then strip "$work/$name/bin/node"; fi
# Of the shell alone, so that it works where PATH is empty; only a symbolic link to it needs readlink.
cat >"$work/$name/bin/pith" <<'END'
#!/bin/sh
self=$0
while [ -L "$self" ]; do
  to=$(readlink "$self")
  case $to in /*) self=$to ;; *) self=${self%/*}/$to ;; esac
done
case $self in */*) here=${self%/*} ;; *) here=. ;; esac
exec "$here/node" --disable-sigusr1 "$here/../lib/dist/pith.js" "$@"
END
chmod 755 "$work/$name/bin/pith"
mkdir -p dist
tar -C "$work" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --mode=go-w -cf - "$name" |
  gzip -9n >"dist/$name.tar.gz"
echo "dist/$name.tar.gz"
