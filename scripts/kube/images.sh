#!/usr/bin/env bash
# Puts the images of the test node into its registry: what holds the network of a
# pod, and one with a shell and the usual tools.
#
#   scripts/kube/images.sh PID DIR    PID is in the namespaces of the node
#   PALISADE_TEST_PROGRAM=FILE        and one out of which sandboxes get this program
set -euo pipefail
holder="$1"
dir="$2"
work="$dir/images"
mkdir -p "$work"

# An image of one layer out of a directory, with a command.
image() {
  local name="$1" root="$2" layout="$work/${1//[\/:]/-}"
  shift 2
  umoci init --layout "$layout"
  umoci new --image "$layout:1"
  umoci insert --image "$layout:1" "$root" /
  umoci config --image "$layout:1" "$@"
  nsenter --target "$holder" --net -- skopeo copy -q --dest-tls-verify=false \
    "oci:$layout:1" "docker://127.0.0.1:5000/$name"
}

mkdir -p "$work/root"/{bin,tmp,etc,root}
chmod 1777 "$work/root/tmp"
cp /usr/bin/busybox "$work/root/bin/busybox"
printf 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n' >"$work/root/etc/passwd"
printf 'root:x:0:\napp:x:1000:\n' >"$work/root/etc/group"
for applet in $(/usr/bin/busybox --list); do
  [ "$applet" = busybox ] || ln -sf busybox "$work/root/bin/$applet"
done
image busybox:1 "$work/root" --config.env=PATH=/bin --config.cmd=/bin/sh
image pause:1 "$work/root" --config.env=PATH=/bin --config.entrypoint=/bin/sleep --config.cmd=infinity
# What the profiles of the workflow page name; the node takes other registries for this one.
image library/busybox:latest "$work/root" --config.env=PATH=/bin --config.cmd=/bin/sh --config.user=1000
image myorg/python-ds:3.11-pytorch-2.3 "$work/root" --config.env=PATH=/bin --config.cmd=/bin/sh
# What the image of the system does for an init container, and no more.
if [ -n "${PALISADE_TEST_PROGRAM:-}" ]; then
  cp "$PALISADE_TEST_PROGRAM" "$work/root/init"
  # shellcheck disable=SC2016
  printf '#!/bin/sh\n[ "$1" = program ] && exec cp /init "$2"\n' >"$work/root/bin/palisade"
  chmod 755 "$work/root/init" "$work/root/bin/palisade"
  image palisade:1 "$work/root" --config.env=PATH=/bin --config.user=65532
fi
rm -rf "$work"
