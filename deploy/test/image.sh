#!/usr/bin/env bash
# image.sh IMAGE [NAME...] : runs everything that an image promises, on a real engine. Without NAMEs all checks; they are
# independent of each other. Pictures and logs are left in OUT (out/image-test): look at them. Needs docker and curl.
set -euo pipefail

image=${1:?usage: image.sh IMAGE [NAME...]}
shift
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${OUT:-$root/out/image-test}
photo=$root/src/facecraft/data/astronaut.jpg
mark=facecraft-image-test-$$
mkdir -p "$out"

clean() {
    docker ps --all --quiet --filter "label=$mark" | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
    docker volume ls --quiet --filter "label=$mark" | xargs --no-run-if-empty docker volume rm --force >/dev/null
}
trap clean EXIT

fail() {
    echo "FAILED: $*" >&2
    [ -z "${container:-}" ] || docker logs --tail 25 "$container" >&2
    exit 1
}

# start OPTION... : a server; its id is in $container.
start() { container=$(docker run --detach --label "$mark" "$@" "$image"); }

state() { docker inspect --format "{{.State.$1}}" "$container"; }

# healthy [SECONDS] : waits for the image's own health check.
healthy() {
    local began=$SECONDS
    until [ "$(state Health.Status)" = healthy ]; do
        [ $((SECONDS - began)) -lt "${1:-90}" ] || fail "not healthy after ${1:-90} s"
        sleep 0.2
    done
}

address() { echo "http://$(docker port "$container" 8000/tcp | head -n 1)"; }

# quick FILE [OPTION of curl]... : one portrait through the quick endpoint; prints the status.
quick() {
    local file=$1
    shift
    curl --silent --max-time 120 --output "$file" --write-out '%{http_code}' "$@" --form "file=@$photo" \
        "$(address)/api/v1/process/quick"
}

# inside PORTRAIT : a portrait through `docker exec`, where no port can be reached.
inside() {
    docker exec --interactive "$container" facecraft portrait - --formats png --out - <"$photo" >"$1"
    [ "$(head -c 4 "$1" | tail -c 3)" = PNG ] || fail "no PNG came out of docker exec"
}

# enlarged SIDE FILE : the photo at SIDE×SIDE pixels.
enlarged() {
    docker run --rm --entrypoint python "$image" -c '
import io, sys
from PIL import Image
from facecraft.cli.sample import sample
side = int(sys.argv[1])
Image.open(io.BytesIO(sample())).resize((side, side)).save(sys.stdout.buffer, "JPEG", quality=85)' "$1" >"$2"
}

is() { [ "$2" = "$3" ] || fail "$1: $2 instead of $3"; }

check_contents() {
    start --publish 127.0.0.1::8000
    is "the user" "$(docker exec "$container" id --user):$(docker exec "$container" id --group)" 10001:10001
    local found
    found=$(docker exec "$container" sh -c 'for each in cc gcc g++ clang make cmake git; do command -v $each; done' || true)
    is "compilers" "$found" ""
    found=$(docker exec "$container" python -c '
import importlib.util as it
print(*[name for name in ("torch", "tensorflow", "mediapipe", "pip", "pytest", "hatchling") if it.find_spec(name)])')
    is "packages that do not belong here" "$found" ""
    found=$(docker run --rm --label "$mark" --user 0 --entrypoint find "$image" / -xdev \( -path '*/.cache/pip' -o -name '*.whl' \
        -path '*/wheels/*' -o -path '/models/.locks' \) | head -n 5)
    is "left-overs of the build" "$found" ""
    is "the tag" "$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.title"}}' "$image")" Facecraft
    local label
    for label in version licenses description vendor; do
        [ -n "$(docker image inspect --format "{{index .Config.Labels \"org.opencontainers.image.$label\"}}" "$image")" ] \
            || fail "the label $label is empty"
    done
    # Nothing is fetched, and nobody is let in by surprise.
    docker exec "$container" sh -c '! facecraft models install dlib_5 2>/tmp/said; grep -q offline /tmp/said' \
        || fail "a model could be fetched although the image is offline"
    healthy
    [[ $(docker logs "$container" 2>&1) == *"no API key is set"* ]] || fail "no warning about the missing key"
}

check_portrait() {
    start --publish 127.0.0.1::8000
    local began=$SECONDS
    healthy
    echo "  healthy after $((SECONDS - began)) s"
    is "the quick endpoint" "$(quick "$out/quick.png")" 200
    curl --silent --fail --form "file=@$photo" --form background=white --form shape=none --form formats=jpeg \
        --header 'Accept: image/jpeg' "$(address)/api/v1/portrait" --output "$out/portrait.jpg" || fail "no JPEG"
    is "a file that is no picture" "$(curl --silent --output /dev/null --write-out '%{http_code}' \
        --form "file=@$0" "$(address)/api/v1/process/quick")" 415
}

check_no_network() {
    start --network none
    healthy
    inside "$out/no-network.png"
    docker exec "$container" python -c '
import http.client, sys
from facecraft.cli.sample import sample
edge = b"facecraft-edge"
body = b"--%b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n%b\r\n--%b--\r\n" % (edge, sample(), edge)
there = http.client.HTTPConnection("127.0.0.1", 8000, timeout=60)
there.request("POST", "/api/v1/process/quick", body, {"Content-Type": "multipart/form-data; boundary=facecraft-edge"})
reply = there.getresponse()
if reply.status != 200 or not reply.read().startswith(b"\x89PNG"):
    sys.exit(f"without a network the server answered {reply.status}")
' || fail "the server does not work without a network"
}

check_stop() {
    start --publish 127.0.0.1::8000
    healthy
    # A request that is running when the server is told to stop is answered.
    local big=$out/big.jpg
    enlarged 4000 "$big"
    curl --silent --max-time 60 --output "$out/while-stopping.png" --write-out '%{http_code}' --form "file=@$big" \
        --form formats=png --header 'Accept: image/png' "$(address)/api/v1/cutout" >"$out/status" &
    local request=$! began=$SECONDS
    sleep 0.5
    [ ! -s "$out/status" ] || fail "the request was done before the server was told to stop"
    docker stop --time 10 "$container" >/dev/null
    echo "  stopped after $((SECONDS - began)) s"
    wait "$request" || true
    is "the exit code" "$(state ExitCode)" 0
    is "the request that was running" "$(cat "$out/status")" 200
    rm -f "$big"
}

check_read_only() {
    local volume
    volume=$(docker volume create --label "$mark")
    start --publish 127.0.0.1::8000 --read-only --cap-drop ALL --security-opt no-new-privileges --pids-limit 200 \
        --volume "$volume:/data"
    healthy
    is "with a read-only root and no capabilities" "$(quick "$out/read-only.png")" 200
    inside "$out/read-only-exec.png"
    is "capabilities" "$(docker exec "$container" sed -n 's/^CapEff:[[:space:]]*//p' /proc/1/status)" 0000000000000000
    start --publish 127.0.0.1::8000 --read-only --cap-drop ALL --tmpfs /data:uid=10001,gid=10001,mode=0750
    healthy
    is "with a read-only root and data in memory" "$(quick "$out/read-only-tmpfs.png")" 200
}

check_keys() {
    local key folder
    key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    start --publish 127.0.0.1::8000 --env FACECRAFT_API_KEY="$key"
    healthy
    is "without the key" "$(quick /dev/null)" 401
    is "with the key" "$(quick /dev/null --header "X-API-Key: $key")" 200
    folder=$(mktemp -d "$out/secrets.XXXX")
    printf '%s' "$key" >"$folder/facecraft_api_key"
    chmod 755 "$folder"
    chmod 444 "$folder/facecraft_api_key"
    start --publish 127.0.0.1::8000 --env FACECRAFT_SECRETS_DIR=/run/secrets --volume "$folder:/run/secrets:ro"
    healthy
    is "without the key of the file" "$(quick /dev/null)" 401
    is "with the key of the file" "$(quick /dev/null --header "X-API-Key: $key")" 200
    [[ $(docker logs "$container" 2>&1) != *"$key"* ]] || fail "the key is in the log"
    rm -r "$folder"
}

check_memory() {
    # More pictures at once than fit into the memory: the kernel ends the server, the engine starts it again, and the job
    # that was waiting or running meanwhile is done all the same.
    local volume job number big=$out/big.jpg
    volume=$(docker volume create --label "$mark")
    start --publish 127.0.0.1::8000 --memory "${MEMORY:-384m}" --memory-swap "${MEMORY:-384m}" --restart on-failure:5 \
        --volume "$volume:/data" --env FACECRAFT_MAX_CONCURRENT_JOBS=4
    healthy
    enlarged 6600 "$big"
    local each files=() sent=()
    for number in 1 2 3 4 5 6 7 8; do files+=(--form "files=@$photo;filename=$number.jpg"); done
    job=$(curl --silent --form preset=portrait "${files[@]}" "$(address)/api/v1/jobs" | sed -n 's/^{"id":"\([^"]*\)".*/\1/p')
    [ -n "$job" ] || fail "the job was refused"
    for each in 1 2 3 4 5 6; do
        curl --silent --max-time 120 --output /dev/null --write-out '%{http_code} ' --form "file=@$big" \
            "$(address)/api/v1/cutout" &
        sent+=($!)
    done
    for each in "${sent[@]}"; do wait "$each" || true; done
    echo
    sleep 1
    echo "  restarts: $(docker inspect --format '{{.RestartCount}}' "$container"), killed for memory: $(docker events \
        --since "$(docker inspect --format '{{.Created}}' "$container")" --until 0s --filter "container=$container" \
        --filter event=oom --format x | wc -l) time(s)"
    healthy 120
    is "after the memory ran out" "$(quick "$out/after-memory.png")" 200
    local began=$SECONDS state=
    until [[ $state == *'"state":"succeeded","progress":1.0'* ]]; do
        [ $((SECONDS - began)) -lt 120 ] || fail "the job was lost: $state"
        sleep 1
        state=$(curl --silent "$(address)/api/v1/jobs/$job") || true
    done
    [[ $state == *'"total":8,"succeeded":8'* ]] || fail "not every picture of the job was made: $state"
    echo "  the job of 8 pictures is whole: $(grep -o '"attempt":[0-9]*' <<<"$state")"
    rm -f "$big"
}

check_volume() {
    # What was made is still there after the container was replaced.
    local volume link
    volume=$(docker volume create --label "$mark")
    start --publish 127.0.0.1::8000 --volume "$volume:/data"
    healthy
    link=$(curl --silent --fail --form "file=@$photo" --form formats=png "$(address)/api/v1/portrait" \
        | tr ',' '\n' | sed -n 's/.*"\(\/api\/v1\/[^"]*png[^"]*\)".*/\1/p' | head -n 1)
    [ -n "$link" ] || fail "the reply has no link"
    docker rm --force "$container" >/dev/null
    start --publish 127.0.0.1::8000 --volume "$volume:/data"
    healthy
    curl --silent --fail "$(address)$link" --output "$out/volume.png" || fail "the result is gone: $link"
}

all="contents portrait no_network stop read_only keys memory volume"
[ $# -gt 0 ] || set -- $all
for name; do
    echo "$name"
    container=
    "check_$name"
    [ -z "$container" ] || docker logs "$container" >"$out/$name.log" 2>&1
    clean
done
"$root/scripts/smoke-test.sh" "$image"
"$here/secrets.sh" "$image"
echo "passed; look at the pictures in $out"
