#!/bin/bash
# Ends what start.sh started, by pid, and the pods with it.   stop.sh FOLDER
dir=$1
pid() { cat "$dir/run/$1.pid" 2>/dev/null; }
inside() { nsenter -t "$(pid namespace)" -n -m -- "$@"; }
# The API server waits for requests that others no longer end, so it is not asked.
for name in kubelet kwok scheduler controller-manager dns; do
  kill "$(pid $name)" 2>/dev/null
done
kill -9 "$(pid apiserver)" "$(pid etcd)" 2>/dev/null
socket=$dir/run/containerd.sock
inside ctr -a "$socket" -n k8s.io tasks list -q 2>/dev/null | while read -r task; do
  inside ctr -a "$socket" -n k8s.io tasks kill -s SIGKILL "$task"
done 2>/dev/null
sleep 1
# The shims outlive containerd otherwise.
for shim in $(pgrep -f "containerd-shim-runc-v2 .*$socket"); do kill "$shim" 2>/dev/null; done
kill "$(pid containerd)" 2>/dev/null
sleep 1
kill "$(pid namespace)" 2>/dev/null
# Their cgroups, which are empty now.
awk '$3 == "cgroup2" || $3 == "cgroup" { print $2 }' /proc/mounts | while read -r hierarchy; do
  find "$hierarchy/$(basename "$dir")" -depth -type d -exec rmdir {} \; 2>/dev/null
done
