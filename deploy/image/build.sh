#!/usr/bin/env bash
# Builds the container image of palisade: the binary, the libraries that it is linked with, the
# usual certificate authorities, and nothing else - no shell, no package manager. It runs as a
# user that is not root, from a root file system that can be read-only.
#
#   deploy/image/build.sh BINARY LAYOUT[:TAG]     write an OCI image layout; needs root and umoci
#
# Put it into a registry with: skopeo copy oci:LAYOUT:TAG docker://REGISTRY/palisade:TAG
set -euo pipefail
binary="$(realpath "${1:?the binary}")"
target="${2:?an OCI layout, with a tag if you like}"
layout="${target%:*}"
tag="${target##*:}"
[ "$tag" != "$target" ] || tag=latest

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
root="$work/root"
mkdir -p "$root"/{usr/bin,etc/ssl/certs,tmp,var/lib/palisade}
chmod 1777 "$root/tmp"
cp "$binary" "$root/usr/bin/palisade"
strip "$root/usr/bin/palisade"

# What the loader would take, each at the place where the loader looks for it.
ldd "$binary" | grep -oE '/[^ ]+' | sort -u | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf 'root:x:0:0::/:/sbin/nologin\npalisade:x:65532:65532::/var/lib/palisade:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\npalisade:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
chown 65532:65532 "$root/var/lib/palisade"
# The same every time: nothing of when and by whom it was built.
find "$root" -exec touch -h -d @0 {} +

[ -e "$layout/index.json" ] || umoci init --layout "$layout"
umoci new --image "$layout:$tag"
umoci insert --image "$layout:$tag" "$root" /
umoci config --image "$layout:$tag" --config.user=65532:65532 --config.workingdir=/var/lib/palisade \
  --config.entrypoint=/usr/bin/palisade --config.env=SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
  --config.env=PATH=/usr/bin
umoci gc --layout "$layout"
