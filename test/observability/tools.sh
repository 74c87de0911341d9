#!/bin/sh
# Sees to what make observability-test needs: Prometheus, and the OpenTelemetry collector, which is built. Says what is
# missing.
set -eu

sh test/tools/install-prometheus.sh
if ! command -v promtool >/dev/null 2>&1; then
  echo "observability-test: missing prometheus: install it, or run this as root where apt-get has it" >&2
  exit 1
fi
sh test/tools/install-collector.sh
