#!/usr/bin/env bash
# scale.sh [IMAGE] : the profile `scale` of compose.yaml on a real engine. A batch goes through the broker while a worker
# is killed and Postgres and Redis are restarted; every picture must come out once, and be looked at in OUT. Without an
# image registry make the services first: bases.sh services. Needs docker, curl and python3.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${OUT:-$root/out/scale-test}
count=${COUNT:-24}
work=$(mktemp -d)
export CPU_IMAGE=${1:-djok/facecraft:cpu} PUBLISH=127.0.0.1:${PORT:-18766} SECRETS=$work/secrets
address=http://$PUBLISH
mkdir -p "$out"
"$root/deploy/secrets.sh" "$SECRETS" >/dev/null
key=$(cat "$SECRETS/facecraft_api_key")

compose() { docker compose --project-name facecraft-scale-test --file "$root/deploy/compose.yaml" --profile scale "$@"; }
finish() {
    compose logs --no-color >"$out/compose.log" 2>&1 || true
    compose down --volumes --timeout 10 >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "FAILED: $*" >&2
    compose logs --tail 15 >&2
    exit 1
}

call() { curl --silent --show-error --max-time 120 --header "X-API-Key: $key" "$@"; }

# field NAME < JSON
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

began=$SECONDS
compose up --detach --wait --wait-timeout 300 --quiet-pull --scale worker-cpu=2 2>"$out/up.log" || { cat "$out/up.log"; fail "up"; }
echo "up and healthy after $((SECONDS - began)) s"
compose ps --format '{{.Service}} {{.Status}}'
for line in $(compose ps --format '{{.Service}}={{.Health}}'); do
    [ "${line#*=}" = healthy ] || fail "$line"
done
[ "$(curl --silent --output /dev/null --write-out '%{http_code}' "$address/api/v1/jobs")" = 401 ] || fail "no key was needed"

# Long enough to be interrupted: photos of four megapixels.
docker run --rm --entrypoint python "$CPU_IMAGE" -c '
import io, sys
from PIL import Image
from facecraft.cli.sample import sample
Image.open(io.BytesIO(sample())).resize((2000, 2000)).save(sys.stdout.buffer, "JPEG", quality=85)' >"$work/photo.jpg"
files=()
for number in $(seq "$count"); do files+=(--form "files=@$work/photo.jpg;filename=photo-$number.jpg"); done
call --fail --form preset=portrait --form 'options={"formats": ["png"]}' "${files[@]}" "$address/api/v1/jobs" >"$work/job.json" \
    || fail "the job was refused: $(cat "$work/job.json")"
job=$(field id <"$work/job.json")

look() { call "$address/api/v1/jobs/$job" >"$work/job.json" && field state <"$work/job.json"; }
done_items() { python3 -c 'import json; print(sum(each["state"] == "succeeded" for each in json.load(open("'"$work"'/job.json"))["items"]))'; }

until [ "$(look)" != queued ] && [ "$(done_items)" -ge 2 ]; do
    [ "$(look)" != failed ] || fail "the job failed: $(cat "$work/job.json")"
    sleep 0.3
done
echo "$(done_items) of $count done; now the worker that has it is killed, Postgres and Redis are restarted"
busy=
for container in $(compose ps --quiet worker-cpu); do
    if docker logs "$container" 2>&1 | grep -c "$job" >/dev/null || docker exec "$container" facecraft worker --check 2>&1 | grep -c ' 1 of ' >/dev/null; then
        busy=$container
        break
    fi
done
[ -n "$busy" ] || fail "no worker has the job"
docker kill "$busy" >/dev/null
killed=$SECONDS
compose restart postgres redis 2>/dev/null

until state=$(look 2>/dev/null) && [ "$state" = succeeded ]; do
    [ "$state" != failed ] || fail "the job failed: $(cat "$work/job.json")"
    [ $((SECONDS - killed)) -lt 240 ] || fail "the job is $state after 240 s: $(cat "$work/job.json")"
    sleep 1
done
echo "succeeded $((SECONDS - killed)) s after the worker was killed"
cp "$work/job.json" "$out/job.json"
python3 - "$work/job.json" "$count" >"$work/links" <<'PYTHON'
import json, sys

job, count = json.load(open(sys.argv[1])), int(sys.argv[2])
items = job["items"]
assert len(items) == count, len(items)
for item in items:
    assert item["state"] == "succeeded", item
    pictures = [each["url"] for each in item["artifacts"] if each["media_type"] == "image/png"]
    assert len(pictures) == 1, item
    print(pictures[0])
assert job["attempt"] >= 2, "nobody was interrupted"
print(f"{count} pictures, attempt {job['attempt']}", file=sys.stderr)
PYTHON
number=0
while read -r link; do
    number=$((number + 1))
    call --fail "$address$link" --output "$out/portrait-$number.png" || fail "$link cannot be fetched"
    cmp --silent "$out/portrait-1.png" "$out/portrait-$number.png" || fail "portrait $number is not like the first"
done <"$work/links"
rm -f "$out"/portrait-[2-9].png "$out"/portrait-[1-9][0-9].png
echo "passed: compose, profile scale"
