#!/bin/sh
# Renders the plain manifests from the chart's examples into this folder, or into the given one. Needs helm 3.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
chart=$here/../helm/pith
to=${1:-$here}
PATH=${TEST_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pith/bin}:$PATH

for example in fleet sidecar; do
  {
    echo "# Generated from deploy/helm/pith/examples/$example.yaml by make manifests: change that file or the chart instead."
    helm template pith "$chart" --values "$chart/examples/$example.yaml" --kube-version 1.30.0 --no-hooks
  } >"$to/$example.yaml.new"
  # So that no tool takes these objects for a Helm release.
  sed -e '/^# Source: /d' -e '/^ *helm\.sh\/chart: /d' -e '/^ *app\.kubernetes\.io\/managed-by: /d' \
    "$to/$example.yaml.new" >"$to/$example.yaml"
  rm "$to/$example.yaml.new"
done
