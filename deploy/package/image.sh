#!/bin/sh
# Builds the image with docker, podman or buildah, whichever is there, and writes what is in it beside:
#   image.sh [TAG]     default: pith:<version>; dist/pith-<version>.cdx.json is the SBOM, as in the image
# ENGINE names one of the three; BUILD_ARGS are more of its arguments, as in BUILD_ARGS='--platform linux/arm64'. The
# same sources give the same image: times in it are those of the last commit, or SOURCE_DATE_EPOCH.
set -eu
cd "$(dirname "$0")/../.."

version=$(node -p "require('./package.json').version")
tag=${1:-pith:$version}
revision=$(git rev-parse HEAD 2>/dev/null || true)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
created=$(node -p "new Date($epoch * 1000).toISOString()")

works() { command -v "$1" >/dev/null 2>&1 && "$1" version >/dev/null 2>&1; }
engine=${ENGINE:-}
if [ -z "$engine" ]; then
  for one in docker podman buildah; do
    if works "$one"; then engine=$one && break; fi
  done
fi
if [ -z "$engine" ]; then
  echo 'image: docker, podman or buildah is required, and none of them works here' >&2
  exit 1
fi

set -- -f deploy/Dockerfile -t "$tag" \
  --build-arg VERSION="$version" --build-arg REVISION="$revision" --build-arg CREATED="$created"
npmrc=$(npm config get userconfig)
if [ -f "$npmrc" ]; then set -- "$@" --secret "id=npmrc,src=$npmrc"; fi
echo "image: building $tag with $engine" >&2
case $engine in
  # shellcheck disable=SC2086 -- a list of words
  docker) SOURCE_DATE_EPOCH=$epoch docker build --build-arg SOURCE_DATE_EPOCH="$epoch" "$@" ${BUILD_ARGS:-} . ;;
  # shellcheck disable=SC2086
  podman) podman build --format docker --timestamp "$epoch" "$@" ${BUILD_ARGS:-} . ;;
  # shellcheck disable=SC2086
  buildah) buildah build --format docker --timestamp "$epoch" "$@" ${BUILD_ARGS:-} . ;;
  *) echo "image: ENGINE=$engine: expected docker, podman or buildah" >&2 && exit 1 ;;
esac
mkdir -p dist
sbom=dist/pith-$version.cdx.json
if [ "$engine" = buildah ]; then
  container=$(buildah from --pull=never "$tag")
  cp "$(buildah mount "$container")/app/sbom.cdx.json" "$sbom"
  buildah rm "$container" >/dev/null
else
  container=$("$engine" create "$tag")
  "$engine" cp "$container:/app/sbom.cdx.json" "$sbom"
  "$engine" rm "$container" >/dev/null
fi
echo "image: built $tag; its SBOM, which is in it at /app/sbom.cdx.json: $sbom" >&2
