#!/usr/bin/env bash
# Gets what a whole Kubernetes node needs, for `make test-kube`, on Debian 12.
#
# Kubernetes comes from Debian's own source package and is built once (eight
# minutes on two cores); etcd, containerd, runc and the CNI plugins are taken out
# of Debian's packages. Nothing is installed on this machine except what unpacks
# a source package: all else lies in a directory of its own, keyed by version,
# and is not fetched again. A half-made directory is never taken for a whole one.
#
#   scripts/kube/get.sh          prints the directory
#   PALISADE_KUBE_DIR=DIR        use this directory
set -euo pipefail
cd "$(dirname "$0")/../.."

version=1.20.2
cache="${XDG_CACHE_HOME:-$HOME/.cache}/palisade"
dir="${PALISADE_KUBE_DIR:-$cache/kube-$version}"

if [ -e "$dir/complete" ]; then
  echo "$dir"
  exit 0
fi

say() { echo "kube: $*" >&2; }

mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if [ -e "$dir/complete" ]; then
  echo "$dir"
  exit 0
fi

sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
tools=()
for package in dpkg-dev make gcc libc6-dev rsync file; do
  state="$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)"
  [ "$state" = installed ] || tools+=("$package")
done
if [ "${#tools[@]}" -gt 0 ]; then
  say "installing ${tools[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${tools[@]}" >/dev/null
fi

work="$dir/work"
rm -rf "$work"
mkdir -p "$work"/{lists/partial,archives/partial,root,source} "$dir/bin"
trap 'rm -rf "$work"' EXIT

# Lists of our own: source packages are rarely switched on, and need not be.
mirror="${PALISADE_DEBIAN_MIRROR:-http://deb.debian.org/debian}"
cat >"$work/sources.list" <<LIST
deb $mirror bookworm main
deb-src $mirror bookworm main
LIST
apt() {
  local verb="$1"
  shift
  apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$work/lists" -o Dir::Cache::archives="$work/archives" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root \
    "$verb" "$@" >&2
}

say "fetching packages"
apt update
(
  cd "$work/archives"
  apt download etcd-server containerd runc containernetworking-plugins \
    golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev
)
for package in "$work"/archives/*.deb; do
  dpkg-deb -x "$package" "$work/root"
done
cp "$work"/root/usr/bin/{etcd,containerd,containerd-shim-runc-v2} "$work/root/usr/sbin/runc" "$dir/bin/"
mkdir -p "$dir/cni"
cp "$work"/root/usr/lib/cni/{bridge,host-local,loopback,portmap} "$dir/cni/"

say "fetching the source of Kubernetes $version"
(cd "$work/source" && apt source kubernetes)
tree="$(find "$work/source" -mindepth 1 -maxdepth 1 -type d -name 'kubernetes-*')"
# The vendored reflect2 crashes the API server when built with this Go.
reflect2=vendor/github.com/modern-go/reflect2
rm -rf "${tree:?}/$reflect2"
cp -r "$work/root/usr/share/gocode/src/github.com/modern-go/reflect2" "$tree/$reflect2"

say "building the API server, controller manager, scheduler and kubelet"
export GOROOT="$work/root/usr/lib/go-1.19"
export PATH="$GOROOT/bin:$PATH" GOCACHE="$work/gocache" GOPATH="$work/gopath" GOTOOLCHAIN=local
log="$dir/build.log"
if ! CGO_ENABLED=0 GOFLAGS=-mod=vendor KUBE_GIT_VERSION="v$version" KUBE_GIT_TREE_STATE=archive \
  make -C "$tree" WHAT="cmd/kube-apiserver cmd/kube-controller-manager cmd/kube-scheduler cmd/kubelet" \
  >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  say "the build failed; the whole log is $log"
  exit 1
fi
cp "$tree"/_output/local/bin/linux/*/kube{-apiserver,-controller-manager,-scheduler,let} "$dir/bin/"
touch "$dir/complete"
say "done"
echo "$dir"
