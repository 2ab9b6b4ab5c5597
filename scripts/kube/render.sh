#!/usr/bin/env bash
# Renders the chart as plain manifests, for those who do not use helm.
set -euo pipefail
cd "$(dirname "$0")/../.."
helm="$(scripts/kube/tools.sh)/helm"
{
  echo "# Rendered from deploy/helm/palisade by scripts/kube/render.sh, with its default values."
  "$helm" template palisade deploy/helm/palisade --namespace palisade --kube-version 1.31.0
} >deploy/kubernetes/palisade.yaml
