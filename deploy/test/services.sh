# shellcheck shell=bash
# Read by bases.sh: stand-ins for the images of the profile `scale`, under the very names that compose.yaml asks for.
# Postgres, Redis and nginx are Debian's; the S3 store is Ceph's gateway with its data in memory, started by a script
# that takes the same words as the program it stands for.

names() { sed -n "s/.*image: \${$1_IMAGE:-\(.*\)}/\1/p" "$here/../compose.yaml"; }

# image NAME ROOT OPTION... : makes an image of a folder.
image() {
    local name=$1 root=$2
    shift 2
    tar -C "$root" --numeric-owner -c . | docker import \
        --change 'ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$@" - "$name"
}

root=$work/plain
mkdir "$root"
debian "$work/plain.tar" postgresql redis-server nginx-light wget
tar -C "$root" -xf "$work/plain.tar"
rm -rf "$root"/var/lib/postgresql/*
install -d -o "$(stat -c %u "$root/var/lib/postgresql")" -g "$(stat -c %g "$root/var/lib/postgresql")" -m 700 \
    "$root/var/lib/postgresql/data"
cat >"$root/usr/local/bin/postgres-entrypoint" <<'SCRIPT'
#!/bin/sh
# The part of the official entry point that compose.yaml uses.
set -eu
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    initdb --pgdata "$data" --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" --auth scram-sha-256 --encoding UTF8 \
        --locale C.UTF-8 >/dev/null
    echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
    pg_ctl --pgdata "$data" --options "-c listen_addresses='' -k /tmp" --wait start >/dev/null
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") createdb --host /tmp --username "$POSTGRES_USER" "$POSTGRES_DB" || true
    pg_ctl --pgdata "$data" --wait stop >/dev/null
fi
exec postgres -D "$data" -c listen_addresses='*' -k /tmp
SCRIPT
chmod 755 "$root/usr/local/bin/postgres-entrypoint"
image "$(names POSTGRES)" "$root" --change 'USER postgres' --change 'STOPSIGNAL SIGINT' \
    --change 'ENTRYPOINT ["postgres-entrypoint"]'
image "$(names REDIS)" "$root"
image "$(names NGINX)" "$root" --change 'STOPSIGNAL SIGQUIT'
rm -rf "$root" "$work/plain.tar"

root=$work/store
mkdir "$root"
debian "$work/store.tar" radosgw ceph-mon ceph-osd ceph-mgr ceph-common nginx-light wget curl
tar -C "$root" -xf "$work/store.tar"
install -m 755 "$here/versitygw" "$root/usr/local/bin/versitygw"
image "$(names STORE)" "$root"
rm -rf "$root" "$work/store.tar"
