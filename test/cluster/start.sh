#!/bin/bash
# Starts a cluster in network and mount namespaces of its own, which have no way out, so that no port of the machine is
# used: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, then containerd and the kubelet as one real
# node, and nodes that only pretend. Needs root, containerd, runc and the CNI plugins.
#   start.sh FOLDER PROGRAMS IMAGES [FAKE_NODES]   (FOLDER: where everything is written; the others: of build.sh, images.sh)
set -eu

dir=$1 programs=$2 images=$3 fake=${4:-0}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir/log" "$dir/run" "$dir/cni" "$dir/containerd" "$dir/kubelet"
sh "$here/pki.sh" "$dir"

unshare -n -m --propagation private sh -c 'ip link set lo up; exec sleep infinity' </dev/null >/dev/null 2>&1 &
namespace=$!
echo "$namespace" >"$dir/run/namespace.pid"

inside() { nsenter -t "$namespace" -n -m -- "$@"; }
kubectl() { inside kubectl --kubeconfig "$dir/kubeconfig" "$@"; }
# start <name> <command>…
start() {
  name=$1
  shift
  nsenter -t "$namespace" -n -m -- nice -n 5 "$@" </dev/null >"$dir/log/$name.log" 2>&1 &
  echo $! >"$dir/run/$name.pid"
}
# wait_for <what> <command>…: two minutes at most
wait_for() {
  what=$1
  shift
  for _ in $(seq 240); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.5
  done
  echo "cluster: $what did not come up; see $dir/log" >&2
  exit 1
}

# Until unshare has made them, its process is still in the machine's own namespaces.
is_apart() { [ "$(readlink "/proc/$namespace/ns/$1")" != "$(readlink "/proc/self/ns/$1")" ]; }
wait_for 'its network' is_apart net
wait_for 'its mounts' is_apart mnt
wait_for 'its loopback' inside sh -c 'ip link show lo up | grep -q UP'
inside ip link add cni0 type bridge
inside ip addr add 10.41.5.1/24 dev cni0
inside ip link set cni0 up

start etcd "$programs/control-plane" etcd --data-dir "$dir/etcd" --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:41500 --advertise-client-urls http://127.0.0.1:41500 \
  --listen-peer-urls http://127.0.0.1:41501 --initial-advertise-peer-urls http://127.0.0.1:41501 \
  --initial-cluster default=http://127.0.0.1:41501
pki=$dir/pki
start apiserver "$programs/control-plane" kube-apiserver --etcd-servers http://127.0.0.1:41500 \
  --bind-address 0.0.0.0 --secure-port 41510 --advertise-address 10.41.5.1 \
  --service-cluster-ip-range 10.96.0.0/16 --service-node-port-range 41560-41599 \
  --tls-cert-file "$pki/server.crt" --tls-private-key-file "$pki/server.key" --client-ca-file "$pki/ca.crt" \
  --kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
  --kubelet-preferred-address-types InternalIP --service-account-issuer https://kubernetes.default.svc \
  --service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key" \
  --authorization-mode Node,RBAC --allow-privileged=true --enable-aggregator-routing=true \
  --requestheader-client-ca-file "$pki/ca.crt" --requestheader-allowed-names front \
  --proxy-client-cert-file "$pki/front.crt" --proxy-client-key-file "$pki/front.key" \
  --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
  --requestheader-extra-headers-prefix X-Remote-Extra-
wait_for 'the API server' kubectl get --raw /readyz
start dns env KUBECONFIG="$dir/kubeconfig" "$(command -v node)" "$here/dns.ts" 10.41.5.1

common="--kubeconfig $dir/kubeconfig --authentication-kubeconfig $dir/kubeconfig --authorization-kubeconfig $dir/kubeconfig --bind-address 127.0.0.1 --leader-elect=false"
# shellcheck disable=SC2086
start controller-manager "$programs/control-plane" kube-controller-manager $common --secure-port 41511 \
  --use-service-account-credentials=false --horizontal-pod-autoscaler-sync-period=2s --root-ca-file "$pki/ca.crt" \
  --service-account-private-key-file "$pki/sa.key" --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key"
# shellcheck disable=SC2086
start scheduler "$programs/control-plane" kube-scheduler $common --secure-port 41512

cat >"$dir/cni/10-test.conflist" <<C
{ "cniVersion": "1.0.0", "name": "test", "plugins": [
  { "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "promiscMode": false,
    "ipam": { "type": "host-local", "dataDir": "$dir/ipam",
      "ranges": [[{ "subnet": "10.41.5.0/24", "rangeStart": "10.41.5.10", "gateway": "10.41.5.1" }]] } },
  { "type": "loopback" } ] }
C
cat >"$dir/containerd.toml" <<C
version = 2
root = "$dir/containerd/root"
state = "$dir/containerd/state"
[grpc]
  address = "$dir/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:local"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
C
# A kubelet ends what it does not know in the machine's cgroups and logs of pods, so it gets its own: another cluster, or
# the machine's own kubelet, may be here as well.
own=$(basename "$dir")
for hierarchy in $(awk '$3 == "cgroup2" || $3 == "cgroup" { print $2 }' /proc/mounts); do
  mkdir -p "$hierarchy/$own"
  # In version 1 a new one of these has no processor and no memory until it is given some.
  for file in cpuset.cpus cpuset.mems; do
    if [ ! -e "$hierarchy/cgroup.controllers" ] && [ -e "$hierarchy/$file" ]; then cat "$hierarchy/$file" >"$hierarchy/$own/$file"; fi
  done
done
cat >"$dir/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: { x509: { clientCAFile: $pki/ca.crt }, webhook: { enabled: true }, anonymous: { enabled: false } }
authorization: { mode: Webhook }
cgroupDriver: cgroupfs
cgroupRoot: /$own
podLogsDir: $dir/pods
failCgroupV1: false
containerRuntimeEndpoint: unix://$dir/run/containerd.sock
address: 0.0.0.0
port: 41521
healthzPort: 0
failSwapOn: false
makeIPTablesUtilChains: false
enforceNodeAllocatable: [none]
resolvConf: ""
clusterDNS: [10.41.5.1]
clusterDomain: cluster.local
evictionHard: { memory.available: "0%", nodefs.available: "0%", imagefs.available: "0%" }
imageGCHighThresholdPercent: 100
imageMaximumGCAge: 0s
registerNode: true
syncFrequency: 10s
C
start containerd containerd -c "$dir/containerd.toml"
wait_for containerd test -S "$dir/run/containerd.sock"
for archive in "$images"/*.tar; do
  wait_for "the image $archive" inside ctr -a "$dir/run/containerd.sock" -n k8s.io images import "$archive"
done
start kubelet "$programs/control-plane" kubelet --config "$dir/kubelet.yaml" --kubeconfig "$dir/kubeconfig" \
  --root-dir "$dir/kubelet" --cert-dir "$dir/kubelet/pki" --node-ip 10.41.5.1 --hostname-override real --v=2
wait_for 'the node' kubectl wait --for=condition=Ready node/real --timeout=1s
kubectl label node real topology.kubernetes.io/zone=zone-real >/dev/null

if [ "$fake" -gt 0 ]; then
  start kwok "$programs/kwok" --kubeconfig "$dir/kubeconfig" --manage-all-nodes=false \
    --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake --node-ip 10.41.5.2 --cidr 10.42.0.0/24 \
    --server-address 127.0.0.1:41550
fi
# Zones of unequal size: who counts nodes alone puts most pods into zone-1.
for i in $(seq "$fake"); do
  zone=zone-$((i > 4 ? i - 3 : 1))
  kubectl apply -f - <<Y >/dev/null
apiVersion: v1
kind: Node
metadata:
  name: fake-$i
  annotations: { kwok.x-k8s.io/node: fake, node.alpha.kubernetes.io/ttl: "0" }
  labels: { type: fake, kubernetes.io/hostname: fake-$i, kubernetes.io/os: linux, topology.kubernetes.io/zone: $zone }
spec:
  taints: [{ key: fake, effect: NoSchedule }]
status:
  allocatable: { cpu: "8", memory: 16Gi, pods: "110" }
  capacity: { cpu: "8", memory: 16Gi, pods: "110" }
Y
done
