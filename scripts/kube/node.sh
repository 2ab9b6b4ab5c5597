#!/usr/bin/env bash
# A whole Kubernetes node on this machine, for tests: API server, scheduler,
# controller manager, kubelet, etcd, containerd and a registry.
#
# Everything runs in a network and a mount namespace of its own, with its files in
# one directory; nothing of it is seen outside, and nothing is left when it stops.
#
#   scripts/kube/node.sh up DIR      start it, print the path of a kubeconfig
#   scripts/kube/node.sh api DIR     start the API server alone
#   scripts/kube/node.sh down DIR    stop it and remove DIR
#   scripts/kube/node.sh netns DIR   print the name of its network namespace
#   scripts/kube/node.sh kill DIR PART    kill one of its programs, as a crash would
#   scripts/kube/node.sh start DIR PART   start it again, and wait until it is of use
#
# Beside the kubeconfig lies runner.kubeconfig, with the rights of a runner.
#
# What reaches the API server from outside of its network namespace goes through a
# veth pair: the kubeconfig names its address. Pods are reached in the same way.
set -euo pipefail
cd "$(dirname "$0")/../.."

verb="${1:?up, api, down, netns, kill or start}"
dir="$(realpath -m "${2:?a directory}")"
# Names that two of them on one machine do not share.
tag="$(printf '%s' "$dir" | sha256sum | cut -c1-8)"
netns="pk-$tag"
veth="pk$tag"
second=$((0x${tag:0:2} % 64 + 64))
third=$((0x${tag:2:2}))
outside="100.$second.$third.1"
inside="100.$second.$third.2"
pods="10.$((0x${tag:4:2} % 64 + 128)).$((0x${tag:6:2} & 252)).0/22"
cgroup="/palisade-kube-$tag"

down() {
  if [ -d "$dir/run" ]; then
    for name in kubelet controllers scheduler apiserver containerd etcd registry; do
      stop "$name"
    done
  fi
  # Containers outlive containerd; they are found by their control group.
  for _ in 1 2 3 4 5; do
    find /sys/fs/cgroup -path "*$cgroup/*" -name cgroup.procs -exec cat {} + 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    pids="$(pgrep -f -- "-namespace k8s.io .*$dir" || true)"
    [ -n "$pids" ] || break
    # shellcheck disable=SC2086
    kill -9 $pids 2>/dev/null || true
    sleep 0.3
  done
  grep -F "$dir" /proc/self/mountinfo | awk '{ print $5 }' | sort -r | xargs -r -n1 umount -l 2>/dev/null || true
  if [ -e "$dir/run/mnt" ]; then umount -l "$dir/run/mnt" 2>/dev/null || true; fi
  find /sys/fs/cgroup -depth -type d -path "*$cgroup*" -exec rmdir {} + 2>/dev/null || true
  ip netns delete "$netns" 2>/dev/null || true
  ip link delete "$veth" 2>/dev/null || true
  rm -rf "$dir"
}

stop() {
  local file="$dir/run/$1.pid" pid
  [ -e "$file" ] || return 0
  pid="$(cat "$file")"
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 50); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
}

# Starts a program in there, with its output in a file. How it was started is kept.
start() {
  local name="$1"
  shift
  printf '%q ' "$@" >"$dir/run/$name.command"
  nsenter --target "$holder" --net --mount -- "$@" </dev/null >>"$dir/log/$name.log" 2>&1 &
  echo $! >"$dir/run/$name.pid"
}

wait_for() {
  local what="$1"
  shift
  for _ in $(seq 900); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  echo "kube: $what did not come up in time" >&2
  return 1
}

api() { kubectl --kubeconfig "$dir/kubeconfig" --request-timeout=10s "$@"; }
ready() { api get node node-1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -q True; }

case "$verb" in
  netns)
    echo "$netns"
    exit 0
    ;;
  kill)
    kill -9 "$(cat "$dir/run/$3.pid")"
    exit 0
    ;;
  start)
    kube="$(scripts/kube/get.sh api)"
    export PATH="$kube/bin:$PATH"
    holder="$(cat "$dir/run/holder.pid")"
    eval "start $3 $(cat "$dir/run/$3.command")"
    wait_for "the API server" api get --raw /readyz
    [ ! -e "$dir/run/kubelet.pid" ] || wait_for "the node" ready
    exit 0
    ;;
esac
if [ "$verb" = down ]; then
  down
  exit 0
fi

kind=node
[ "$verb" = up ] || kind=api
kube="$(scripts/kube/get.sh "$kind")"
export PATH="$kube/bin:$PATH"
if [ -e "$dir" ]; then down; fi
mkdir -p "$dir"/{run,log,etcd,certs,containerd,kubelet,registry,cni}
trap '[ "$?" = 0 ] || { tail -n 15 "$dir"/log/*.log >&2 || true; down; }' EXIT

ip netns add "$netns"
ip link add "$veth" type veth peer name eth0 netns "$netns"
ip address add "$outside/30" dev "$veth"
ip link set "$veth" up
ip route add "$pods" via "$inside"
nsenter --net="/run/netns/$netns" bash -eu <<IN
ip link set lo up
ip address add $inside/30 dev eth0
ip link set eth0 up
ip route add default via $outside
sysctl -qw net.ipv4.ip_forward=1
IN

# One long-lived mount namespace for everything that mounts, private to it.
nsenter --net="/run/netns/$netns" unshare --mount --propagation private -- \
  bash -c '
    mount --make-rshared /
    # crun and kubelet trip over a half-used unified hierarchy.
    if [ -d /sys/fs/cgroup/unified ]; then mount -t tmpfs tmpfs /sys/fs/cgroup/unified; fi
    exec sleep infinity' </dev/null >/dev/null 2>&1 &
echo $! >"$dir/run/holder.pid"
for _ in $(seq 50); do
  holder="$(cat "$dir/run/holder.pid")"
  [ "$(cat "/proc/$holder/comm" 2>/dev/null)" = sleep ] && break
  sleep 0.05
done


token="$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')"
echo "$token,admin,admin,system:masters" >"$dir/tokens.csv"
chmod 600 "$dir/tokens.csv"
openssl genrsa -out "$dir/certs/accounts.key" 2048 2>/dev/null
cat >"$dir/kubeconfig" <<CONFIG
apiVersion: v1
kind: Config
clusters:
- name: node
  cluster: { server: "https://$inside:6443", insecure-skip-tls-verify: true }
users:
- name: admin
  user: { token: "$token" }
contexts:
- name: node
  context: { cluster: node, user: admin }
current-context: node
CONFIG
# The same, with the rights of a runner.
sed -e 's/^  user: { token: /  user: { as: "system:serviceaccount:palisade:palisade-runner", token: /' \
  -e 's/^  context: {/  context: { namespace: palisade,/' "$dir/kubeconfig" >"$dir/runner.kubeconfig"
chmod 600 "$dir/kubeconfig" "$dir/runner.kubeconfig"

start etcd etcd --data-dir "$dir/etcd" --unsafe-no-fsync \
  --listen-client-urls "http://127.0.0.1:2379" --advertise-client-urls "http://127.0.0.1:2379" \
  --listen-peer-urls "http://127.0.0.1:2380"
plugins=()
# Service accounts are made by a controller, which is not there then.
[ "$verb" = up ] || plugins=(--disable-admission-plugins=ServiceAccount)
start apiserver kube-apiserver "${plugins[@]}" --etcd-servers=http://127.0.0.1:2379 --cert-dir="$dir/certs" \
  --bind-address="$inside" --secure-port=6443 --service-cluster-ip-range=10.96.0.0/16 \
  --token-auth-file="$dir/tokens.csv" --authorization-mode=Node,RBAC \
  --service-account-issuer=https://kubernetes.default.svc \
  --service-account-key-file="$dir/certs/accounts.key" \
  --service-account-signing-key-file="$dir/certs/accounts.key" \
  --allow-privileged=true --endpoint-reconciler-type=none \
  --kubelet-preferred-address-types=InternalIP \
  --default-unreachable-toleration-seconds=10 --default-not-ready-toleration-seconds=10
wait_for "the API server" api get --raw /readyz
api apply -f deploy/kubernetes/rbac.yaml >/dev/null
echo "kube: the API server is up" >&2
if [ "$verb" = api ]; then
  echo "$dir/kubeconfig"
  exit 0
fi

printf 'version: 0.1\nstorage: { filesystem: { rootdirectory: %s } }\nhttp: { addr: 127.0.0.1:5000 }\n' \
  "$dir/registry" >"$dir/registry.yaml"
start registry docker-registry serve "$dir/registry.yaml"

cat >"$dir/cni/10-bridge.conflist" <<CNI
{ "cniVersion": "0.4.0", "name": "pods", "plugins": [
  { "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
    "ipam": { "type": "host-local", "dataDir": "$dir/cni/leases",
      "ranges": [[{ "subnet": "$pods" }]], "routes": [{ "dst": "0.0.0.0/0" }] } } ] }
CNI
cat >"$dir/containerd.toml" <<TOML
version = 2
root = "$dir/containerd/root"
state = "$dir/run/containerd"
[grpc]
address = "$dir/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "127.0.0.1:5000/pause:1"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$kube/cni"
conf_dir = "$dir/cni"
[plugins."io.containerd.grpc.v1.cri".registry.mirrors."*"]
endpoint = ["http://127.0.0.1:5000"]
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
TOML
start containerd containerd --config "$dir/containerd.toml"

wait_for "the registry" nsenter --target "$holder" --net -- bash -c '>/dev/tcp/127.0.0.1/5000'
scripts/kube/images.sh "$holder" "$dir" >&2

start controllers kube-controller-manager --kubeconfig="$dir/kubeconfig" --leader-elect=false \
  --service-account-private-key-file="$dir/certs/accounts.key" --use-service-account-credentials=false \
  --cert-dir="$dir/certs" --bind-address=127.0.0.1
start scheduler kube-scheduler --kubeconfig="$dir/kubeconfig" --leader-elect=false \
  --cert-dir="$dir/certs" --bind-address=127.0.0.1
cat >"$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: $cgroup
failSwapOn: false
enforceNodeAllocatable: []
address: $inside
healthzPort: 0
authentication: { anonymous: { enabled: true }, webhook: { enabled: false } }
authorization: { mode: AlwaysAllow }
maxPods: 200
evictionHard: { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" }
serializeImagePulls: false
registryPullQPS: 0
YAML
for controller in /sys/fs/cgroup/*/; do
  case "$controller" in */unified/) continue ;; esac
  mkdir -p "$controller$cgroup" 2>/dev/null || true
done
if [ -w "/sys/fs/cgroup/cpuset$cgroup/cpuset.cpus" ]; then
  cat /sys/fs/cgroup/cpuset/cpuset.cpus >"/sys/fs/cgroup/cpuset$cgroup/cpuset.cpus"
  cat /sys/fs/cgroup/cpuset/cpuset.mems >"/sys/fs/cgroup/cpuset$cgroup/cpuset.mems"
fi
start kubelet kubelet --kubeconfig="$dir/kubeconfig" --config="$dir/kubelet.yaml" \
  --root-dir="$dir/kubelet" --cert-dir="$dir/certs" --hostname-override=node-1 --node-ip="$inside" \
  --container-runtime=remote --container-runtime-endpoint="unix://$dir/run/containerd.sock" \
  --node-labels=disk=ssd,gpu=h100,gpu.nvidia.com/class=H100,node.kubernetes.io/instance-type=h100
wait_for "the node" ready
# GPUs that nothing runs on: what asks for them is made, and waits.
api patch node node-1 --subresource=status --type=merge -p \
  '{"status":{"capacity":{"nvidia.com/gpu":"8"},"allocatable":{"nvidia.com/gpu":"8"}}}' >/dev/null
account() { api -n default get serviceaccount default; }
wait_for "the service account" account
api apply -f - >/dev/null <<YAML
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: { name: runc }
handler: runc
YAML
echo "$dir/kubeconfig"
