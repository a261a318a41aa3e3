#!/bin/sh
# secrets.sh [FOLDER] : makes the secrets of compose.yaml as files in FOLDER (secrets/ beside this script), each drawn at
# random. What is there already stays as it is, so that it is safe to run again; delete a file to draw it anew.
set -eu

folder=${1:-$(cd "$(dirname "$0")" && pwd)/secrets}
mkdir -p "$folder"
# Containers read the files as users of their own; nobody else of this machine gets past the folder.
chmod 700 "$folder"

draw() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# keep NAME TEXT : writes TEXT unless the file is there, and prints what the file holds.
keep() {
    [ -s "$folder/$1" ] || printf '%s' "$2" >"$folder/$1"
    chmod 444 "$folder/$1"
    cat "$folder/$1"
}

postgres=$(keep postgres_password "$(draw)")
redis=$(keep redis_password "$(draw)")
keep facecraft_database_url "postgresql://facecraft:$postgres@postgres:5432/facecraft" >/dev/null
keep facecraft_celery_broker_url "redis://:$redis@redis:6379/0" >/dev/null
keep facecraft_s3_access_key "$(draw | cut -c 1-20)" >/dev/null
keep facecraft_s3_secret_key "$(draw)" >/dev/null
keep facecraft_api_key "$(draw)" >/dev/null
keep facecraft_jwt_secret_key "$(draw)" >/dev/null
echo "The secrets are in $folder; callers send the key of facecraft_api_key as X-API-Key."
