#!/bin/sh
# What a cluster needs and this machine lacks, in a line; exits with 1 if there is something. `install` has apt-get
# install what Debian and Ubuntu have.
set -eu

missing=
need() { missing="$missing${missing:+, }$1"; }
look() {
  missing=
  [ "$(uname -s)" = Linux ] || need Linux
  [ "$(id -u)" = 0 ] || need root
  for program in containerd runc buildah openssl curl ip nsenter kubectl go; do
    command -v "$program" >/dev/null 2>&1 || need "$program"
  done
  [ -x /usr/lib/cni/bridge ] || need 'the CNI plugins in /usr/lib/cni'
}

look
if [ -n "$missing" ] && [ "${1-}" = install ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "cluster-test: installing containerd, runc, buildah, the CNI plugins, openssl, curl" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -qq -y --no-install-recommends \
    containerd runc buildah containernetworking-plugins openssl curl iproute2 util-linux >&2 || true
  look
fi
if [ -z "$missing" ]; then exit 0; fi
echo "$missing"
exit 1
