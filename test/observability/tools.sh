#!/bin/sh
# Sees to what make observability-test needs: Prometheus from Debian's packages, where this is root and has apt, and the
# OpenTelemetry collector, which is built. Says what is missing.
set -eu

if ! command -v promtool >/dev/null 2>&1; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "observability-test: missing prometheus: install it, or run this as root where apt-get has it" >&2
    exit 1
  fi
  echo "observability-test: installing prometheus" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  # Debian starts what it installs; nothing is to run here but the tests' own.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  apt-get install -qq -y --no-install-recommends prometheus >&2
fi
sh test/tools/install-collector.sh
