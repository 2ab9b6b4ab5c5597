#!/usr/bin/env bash
# The whole story on one machine: see scripts/demo.py for what it shows.
#
# Everything happens in two network namespaces of its own: one is the machine
# on which the platform runs, the other a small internet with a few servers. So
# addresses such as GitHub's can be used, nothing outside is touched or needed,
# and what is left at the end can be counted.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
  exec sudo --preserve-env=PALISADE_BIN_DIR "$0" "$@"
fi

bin="${PALISADE_BIN_DIR:-${CARGO_TARGET_DIR:-$PWD/target}/release}"
scripts/image.sh "$bin/palisade"
python="$(scripts/venv.sh)"

machine="palisade-demo-$$"
internet="palisade-inet-$$"
servers=()

clean_up() {
  for server in "${servers[@]}"; do
    kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true
  done
  ip netns delete "$machine" 2>/dev/null || true
  ip netns delete "$internet" 2>/dev/null || true
}
trap clean_up EXIT

# The small internet: a cable to it, and the addresses of its servers.
ip netns add "$machine"
ip netns add "$internet"
ip -n "$machine" link set lo up
ip -n "$internet" link set lo up
ip -n "$machine" link add wan type veth peer name wan netns "$internet"
ip -n "$machine" address add 198.51.100.2/24 dev wan
ip -n "$machine" address add 2001:db8::2/64 dev wan nodad
ip -n "$machine" link set wan up
ip -n "$internet" address add 198.51.100.1/24 dev wan
ip -n "$internet" address add 2001:db8::1/64 dev wan nodad
ip -n "$internet" link set wan up
ip -n "$machine" route add default via 198.51.100.1
ip -n "$machine" route add default via 2001:db8::1
for address in 140.82.112.3/32 93.184.215.14/32 10.1.2.3/32 169.254.169.254/32; do
  ip -n "$internet" address add "$address" dev lo
done
for address in 2606:50c0:8000::153/128 2606:4700:4700::1111/128; do
  ip -n "$internet" address add "$address" dev lo nodad
done
# Kernels before 6.17 forward IPv6 for all interfaces or for none. Which one it is
# is left to the operator of a machine, who decides here that they do.
if [ ! -e /proc/sys/net/ipv6/conf/all/force_forwarding ]; then
  nsenter --net="/run/netns/$machine" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
fi
# The link-local address of clouds' metadata services, reachable from the machine.
ip -n "$machine" route add 169.254.169.254/32 via 198.51.100.1

# `nsenter` and not `ip netns exec`: that would hide the control groups.
nsenter --net="/run/netns/$internet" "$python" scripts/demo_server.py internet &
servers+=($!)
nsenter --net="/run/netns/$machine" "$python" scripts/demo_server.py machine &
servers+=($!)

nsenter --net="/run/netns/$machine" "$python" scripts/demo.py "$bin"
