#!/usr/bin/env bash
# Licences, bans and sources of dependencies. Advisories are only reported:
# a new one must not turn a green tree red over night, nor must a machine that
# cannot fetch the list.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo deny --log-level error check licenses bans sources
if ! cargo deny --log-level error check advisories; then
  echo "deny: advisories could not be checked, or there are some; see above" >&2
fi
