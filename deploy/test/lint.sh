#!/usr/bin/env bash
# lint.sh : what can be said of the files without an engine. The programs are in the development dependencies.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ -d .venv/bin ] && PATH=$PWD/.venv/bin:$PATH

hadolint deploy/docker/Dockerfile
check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
for script in deploy/*.sh deploy/*/*.sh scripts/*.sh; do bash -n "$script"; done
if command -v docker >/dev/null && docker compose version >/dev/null 2>&1; then
    for profile in cpu gpu scale scale-gpu; do
        docker compose --file deploy/compose.yaml --profile scale --profile "$profile" config --quiet
    done
fi
echo "passed: lint"
