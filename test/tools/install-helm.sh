#!/bin/sh
# Installs helm, in the version below, where install.sh puts the other programs of the tests. Does nothing if it is
# there; without Go, a helm 3 on the PATH will do. Unlike install.sh it fails if there is none: without helm the
# chart's tests cannot run.
set -eu

HELM=helm.sh/helm/v3/cmd/helm@v3.22.0
# The version of Kubernetes that helm assumes without a cluster, set as in its releases: that of its k8s.io modules.
# Otherwise it is 1.20.
KUBE=helm.sh/helm/v3/pkg/chartutil.k8sVersion
LDFLAGS="-s -w -X ${KUBE}Major=1 -X ${KUBE}Minor=37"

dir=${TEST_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pith/bin}

# The version in a Go program's own build information: `go version -m` has a line "mod <module> <version> …".
built_version() { go version -m "$1" 2>/dev/null | awk '$1 == "mod" { print $3; exit }'; }

if command -v go >/dev/null 2>&1; then
  if [ "$(built_version "$dir/helm")" = "${HELM##*@}" ]; then exit 0; fi
  echo "tools: installing helm ${HELM##*@} into $dir" >&2
  mkdir -p "$dir"
  new=$(mktemp -d "$dir/.new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  GOBIN=$new GOFLAGS=-mod=mod go install -ldflags "$LDFLAGS" "$HELM" >&2
  mv -f "$new/helm" "$dir/helm"
  exit 0
fi

PATH=$dir:$PATH
case $(helm version --template '{{ .Version }}' 2>/dev/null) in
  v3.*) ;;
  *)
    echo "tools: no helm 3: install Go, or helm ${HELM##*@}" >&2
    exit 1
    ;;
esac
