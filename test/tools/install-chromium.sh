#!/bin/sh
# Finds Chromium for test/conformance/browser.test.ts: $TEST_CHROMIUM, or `chromium` on the PATH, or
# /usr/bin/chromium. If there is none, and this is root on Debian, its package is installed system-wide.
# Never fails: without Chromium those tests are skipped (and `make test` fails if CI is set).
set -eu

say() { echo "tools: $*" >&2; }

# The same places as in test/conformance/browser/chromium.ts.
have_chromium() {
  if [ -n "${TEST_CHROMIUM:-}" ]; then [ -x "$TEST_CHROMIUM" ]; return; fi
  command -v chromium >/dev/null 2>&1 || [ -x /usr/bin/chromium ]
}

as_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null >&2; }

if have_chromium; then exit 0; fi

if [ -z "${TEST_CHROMIUM:-}" ] && as_root; then
  say "installing Debian's package chromium"
  if apt update && apt install -y --no-install-recommends chromium && have_chromium; then exit 0; fi
  say "chromium could not be installed"
fi

if [ -n "${TEST_CHROMIUM:-}" ]; then
  say "TEST_CHROMIUM is $TEST_CHROMIUM, which is not a program"
else
  say "no chromium: install it (on Debian the package chromium), or set TEST_CHROMIUM to its path"
fi
say "skipped without it:"
say "  test/conformance/browser.test.ts"
