#!/usr/bin/env bash
# Gets an API server, or all of a Kubernetes node, for tests, on Debian 12.
#
# Kubernetes comes from Debian's own source package and is built once (on two cores
# the API server takes six minutes, the rest two more); etcd, containerd, runc and
# the CNI plugins are taken out of Debian's packages. Nothing is installed on this
# machine except what unpacks a source package: all else lies in a directory of its
# own, keyed by version, and is not fetched again. A half-made directory is never
# taken for a whole one.
#
#   scripts/kube/get.sh api      gets API server and etcd, prints the directory
#   scripts/kube/get.sh node     gets all of a node, prints the directory
#   PALISADE_KUBE_DIR=DIR        use this directory
set -euo pipefail
cd "$(dirname "$0")/../.."

purpose="${1:?api or node}"
version=1.20.2
cache="${XDG_CACHE_HOME:-$HOME/.cache}/palisade"
dir="${PALISADE_KUBE_DIR:-$cache/kube-$version}"

is_there() { [ -e "$dir/complete" ] || { [ "$purpose" = api ] && [ -e "$dir/complete-api" ]; }; }
if is_there; then
  echo "$dir"
  exit 0
fi

say() { echo "kube: $*" >&2; }

mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if is_there; then
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
packages=(golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev)
programs=()
if [ ! -e "$dir/complete-api" ]; then
  packages+=(etcd-server)
  programs+=(kube-apiserver)
fi
if [ "$purpose" = node ]; then
  packages+=(containerd runc containernetworking-plugins)
  programs+=(kube-controller-manager kube-scheduler kubelet)
fi
(cd "$work/archives" && apt download "${packages[@]}")
for package in "$work"/archives/*.deb; do
  dpkg-deb -x "$package" "$work/root"
done

say "fetching the source of Kubernetes $version"
(cd "$work/source" && apt source kubernetes)
tree="$(find "$work/source" -mindepth 1 -maxdepth 1 -type d -name 'kubernetes-*')"
# The vendored reflect2 crashes the API server when built with this Go.
reflect2=vendor/github.com/modern-go/reflect2
rm -rf "${tree:?}/$reflect2"
cp -r "$work/root/usr/share/gocode/src/github.com/modern-go/reflect2" "$tree/$reflect2"

say "building ${programs[*]}"
export GOROOT="$work/root/usr/lib/go-1.19"
export PATH="$GOROOT/bin:$PATH" GOCACHE="$work/gocache" GOPATH="$work/gopath" GOTOOLCHAIN=local
export CGO_ENABLED=0 GOFLAGS=-mod=vendor GOLDFLAGS="-s -w" KUBE_GIT_VERSION="v$version" KUBE_GIT_TREE_STATE=archive
log="$dir/build.log"
# Generated code is in the package, but for this one file. What `make` does of itself
# generates everything again, which takes as long as the building.
build() {
  cd "$tree" &&
    make --no-builtin-rules -s -f Makefile.generated_files CALLED_FROM_MAIN_MAKEFILE=1 KUBE_VERBOSE=1 \
      OUT_DIR=_output BIN_DIR=_output/bin META_DIR=.make GENERATED_FILE_PREFIX=zz_generated. \
      PRJ_SRC_PATH=k8s.io/kubernetes pkg/generated/openapi/zz_generated.openapi.go &&
    hack/make-rules/build.sh "${programs[@]/#/cmd/}"
}
if ! (build) >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  say "the build failed; the whole log is $log"
  exit 1
fi
cp "$tree"/_output/local/bin/linux/*/kube* "$dir/bin/"
if [ ! -e "$dir/complete-api" ]; then
  cp "$work/root/usr/bin/etcd" "$dir/bin/"
  touch "$dir/complete-api"
fi
if [ "$purpose" = node ]; then
  cp "$work"/root/usr/bin/{containerd,containerd-shim-runc-v2} "$work/root/usr/sbin/runc" "$dir/bin/"
  mkdir -p "$dir/cni"
  cp "$work"/root/usr/lib/cni/{bridge,host-local,loopback,portmap} "$dir/cni/"
  touch "$dir/complete"
fi
say "done"
echo "$dir"
