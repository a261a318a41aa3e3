#!/usr/bin/env bash
# secrets.sh IMAGE [WORD...] : looks for secrets in the history, the settings and every file of every layer of an image.
# WORDs are further texts that must not be there, such as the password that the build was given.
set -euo pipefail

image=${1:?usage: secrets.sh IMAGE [WORD...]}
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Keys of clouds and code hosts, private keys, and addresses with a password in them.
patterns='gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}|glpat-[A-Za-z0-9_-]{20}|npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50}|xox[baprs]-[0-9A-Za-z-]{20}|dckr_pat_[A-Za-z0-9_-]{20}'
patterns="(^|[^A-Za-z0-9/+])((AKIA|ASIA)[0-9A-Z]{16}|$patterns)([^A-Za-z0-9/+=]|\$)"
private='-----BEGIN ([A-Z]+ )?PRIVATE KEY-----'
found=0

docker history --no-trunc --format '{{.CreatedBy}}' "$image" >"$work/history"
docker image inspect --format '{{json .Config}}' "$image" >"$work/config"
if grep -nEi "$patterns|$private|(password|passwd|secret|token|api_?key)[A-Za-z_]*=[^ \$\"]|://[^/ \"]*:[^/@ \"]*@" "$work/history" "$work/config"; then
    found=1
fi

# The layers one by one: a file that a later layer deletes is still in the image.
mkdir "$work/image" "$work/files"
docker save "$image" | tar -C "$work/image" -x
while read -r layer; do
    mkdir "$work/files/layer"
    tar -C "$work/files/layer" --no-same-owner --no-same-permissions --exclude='dev/*' -xf "$layer"
    chmod -R u+rwX "$work/files/layer"
    # Libraries test themselves with keys of their own, and programs that read keys name their first line.
    if grep -rlaE "$patterns" "$work/files/layer"; then found=1; fi
    if grep -rlaPz --exclude="*.so*" -- "$private\r?\n[A-Za-z0-9+/=\r\n]{100,}" "$work/files/layer"; then found=1; fi
    for word; do
        if grep -rlaF -- "$word" "$work/files/layer"; then found=1; fi
    done
    if find "$work/files/layer" \( -name '.env' -o -name .netrc -o -name .npmrc -o -name .pypirc -o -name 'id_rsa*' \
        -o -name '.git' -o -path '*/.docker/config.json' -o -path '*/.aws/credentials' \) | grep .; then found=1; fi
    rm -rf "$work/files/layer"
done < <(find "$work/image" -type f -exec sh -c 'tar -tf "$1" >/dev/null 2>&1 && echo "$1"' _ {} \;)

if [ "$found" = 0 ]; then echo "no secrets in $image"; else
    echo "FAILED: the lines above look like secrets" >&2
    exit 1
fi
