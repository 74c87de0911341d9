#!/bin/sh
# Finds Prometheus and promtool on the PATH, for test/integration/observability.test.ts and make observability-test. If
# they are not there, and this is root on Debian, its package is installed system-wide.
# Never fails: without them those tests are skipped (and `make test` fails if CI is set).
set -eu

say() { echo "tools: $*" >&2; }

have_prometheus() { command -v promtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1; }

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null >&2; }

if have_prometheus; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  say "installing Debian's package prometheus"
  # Debian starts what it installs; nothing is to run here but the tests' own.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  if apt update && apt install -y --no-install-recommends prometheus && have_prometheus; then exit 0; fi
  say "prometheus could not be installed"
fi

say "no prometheus: install it (on Debian the package prometheus)"
say "skipped without it: test/integration/observability.test.ts"
