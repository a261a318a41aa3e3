#!/usr/bin/env bash
# smoke-test.sh IMAGE [OPTION of docker run]... : does this image make portraits? Needs docker and curl, and nothing of
# the repository: the photo (public domain) is taken out of the image.
#
#   scripts/smoke-test.sh djok/facecraft:cpu
#   scripts/smoke-test.sh djok/facecraft:gpu --gpus all
#
# Exits with 0 only when the server became ready, found the face, and the portrait that came back shows one face and is
# transparent around it. A reply of "no face" is a failure. KEEP=FILE keeps the portrait.
set -euo pipefail

image=${1:?usage: smoke-test.sh IMAGE [OPTION of docker run]...}
shift
patience=${PATIENCE:-120}
work=$(mktemp -d)
container=$(docker run --detach --publish 127.0.0.1::8000 "$@" "$image")
trap 'docker rm --force --volumes "$container" >/dev/null; rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*" >&2
    docker logs --tail 20 "$container" >&2
    exit 1
}

began=$(date +%s)
until [ "$(docker inspect --format '{{.State.Health.Status}}' "$container")" = healthy ]; do
    [ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ] || fail "the container ended"
    [ $(($(date +%s) - began)) -lt "$patience" ] || fail "not healthy after $patience s"
    sleep 0.5
done
echo "healthy after $(($(date +%s) - began)) s"

docker exec "$container" python -c 'import sys; from facecraft.cli.sample import sample; sys.stdout.buffer.write(sample())' \
    >"$work/photo.jpg"
address=$(docker port "$container" 8000/tcp | head -n 1)
status=$(curl --silent --show-error --max-time 120 --output "$work/portrait.png" --write-out '%{http_code} %{content_type}' \
    ${FACECRAFT_API_KEY:+--header "X-API-Key: $FACECRAFT_API_KEY"} \
    --form "file=@$work/photo.jpg" "http://$address/api/v1/process/quick")
[ "$status" = "200 image/png" ] || fail "the portrait was answered with $status: $(head -c 500 "$work/portrait.png")"

# Looked at by the detector, and by counting what is transparent.
docker exec --interactive "$container" python -c '
import io, sys
from PIL import Image
from facecraft import Studio

data = sys.stdin.buffer.read()
picture = Image.open(io.BytesIO(data))
if picture.mode != "RGBA":
    sys.exit(f"the portrait has no transparency: {picture.mode}")
alpha = picture.getchannel("A").histogram()
clear, solid = (alpha[value] / (picture.width * picture.height) for value in (0, 255))
with Studio.open() as studio:
    faces = len(studio.detect(data).faces)
print(f"{picture.width}x{picture.height}, {len(data)} bytes, {clear:.0%} clear, {solid:.0%} solid, {faces} face(s)")
if faces != 1 or clear < 0.1 or solid < 0.2:
    sys.exit("that is no portrait of one person")
' <"$work/portrait.png" || fail "the portrait is not one"

[ -z "${KEEP:-}" ] || cp "$work/portrait.png" "$KEEP"
echo "passed: $image"
