#!/usr/bin/env bash
# compose.sh [IMAGE] : the profile `cpu` of compose.yaml on a real engine: up, healthy, a portrait, replaced without
# losing what was made, a key from outside, down.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${OUT:-$root/out/compose-test}
photo=$root/src/facecraft/data/astronaut.jpg
export CPU_IMAGE=${1:-djok/facecraft:cpu} PUBLISH=127.0.0.1:${PORT:-18765}
address=http://$PUBLISH
mkdir -p "$out"

compose() { docker compose --project-name facecraft-cpu-test --file "$root/deploy/compose.yaml" --profile cpu "$@"; }
trap 'compose down --volumes --timeout 10 >/dev/null 2>&1' EXIT

fail() {
    echo "FAILED: $*" >&2
    compose logs --tail 20 >&2
    exit 1
}

unset FACECRAFT_API_KEY
compose up --detach --wait --quiet-pull
status=$(curl --silent --output "$out/quick.png" --write-out '%{http_code}' --form "file=@$photo" "$address/api/v1/process/quick")
[ "$status" = 200 ] || fail "the quick endpoint answered $status"
link=$(curl --silent --fail --form "file=@$photo" --form formats=png "$address/api/v1/portrait" \
    | tr ',' '\n' | sed -n 's/.*"\(\/api\/v1\/[^"]*png[^"]*\)".*/\1/p' | head -n 1)
[ -n "$link" ] || fail "the reply has no link"

FACECRAFT_API_KEY=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export FACECRAFT_API_KEY
compose up --detach --wait --quiet-pull
status=$(curl --silent --output /dev/null --write-out '%{http_code}' --form "file=@$photo" "$address/api/v1/process/quick")
[ "$status" = 401 ] || fail "without the key: $status"
curl --silent --fail --header "X-API-Key: $FACECRAFT_API_KEY" "$address$link" --output "$out/kept.png" \
    || echo "  the picture made without a key is not given out to the holder of one"

compose stop --timeout 10
code=$(compose ps --all --format '{{.ExitCode}}')
[ "$code" = 0 ] || fail "stopped with $code"
echo "passed: compose, profile cpu"
