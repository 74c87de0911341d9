#!/bin/sh
# Sees to what the image's tests need: buildah, podman and runc. Installs them where that is possible (root, apt),
# otherwise says what is missing.
set -eu

missing=
for program in buildah podman runc; do
  command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
if [ -z "$missing" ]; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "image-test: installing$missing" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  # shellcheck disable=SC2086 -- a list of words
  if apt-get install -qq -y --no-install-recommends $missing >&2; then exit 0; fi
fi
echo "image-test: missing$missing: install them, or run this as root where apt-get has them" >&2
exit 1
