#!/usr/bin/env bash
# bases.sh NAME... : makes stand-ins for base images where no image registry can be reached, out of Debian packages and
# the Python that runs here. They prove the Dockerfile and the compose file, not the official bytes: never publish what
# is built on one.
#
#   python     python:3.11-slim-bookworm  (PYTHON: another interpreter than python3; it must be 3.11)
#   services   the images of the profile `scale`: Postgres, Redis, nginx and an S3 store
#
# Needs mmdebstrap, root and a running engine.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=${SOURCES:-/etc/apt/sources.list.d/debian.sources}

# debian FILE PACKAGE... : a small Debian with PACKAGEs as a tar file.
debian() {
    local file=$1
    shift
    mmdebstrap --quiet --variant=minbase --include="$(echo ca-certificates "$@" | tr ' ' ,)" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap' \
        --customize-hook='cp -L /etc/ssl/certs/ca-certificates.crt "$1"/etc/ssl/certs/' \
        bookworm "$file" "$sources"
}

python_base() {
    local interpreter=${PYTHON:-python3} root=$work/python prefix
    prefix=$("$interpreter" -c 'import sys; assert sys.version_info[:2] == (3, 11), sys.version; print(sys.base_prefix)')
    mkdir -p "$root"
    debian "$work/python.tar" netbase tzdata libbz2-1.0 libexpat1 libffi8 liblzma5 libncursesw6 libnsl2 libreadline8 \
        libsqlite3-0 libssl3 libtirpc3 libuuid1 zlib1g
    tar -C "$root" -xf "$work/python.tar"
    mkdir -p "$root/usr/local/bin" "$root/usr/local/lib"
    cp -a "$prefix/bin/python3.11" "$root/usr/local/bin/"
    cp -a "$prefix"/lib/libpython3*.so* "$root/usr/local/lib/" 2>/dev/null || true
    ln -s python3.11 "$root/usr/local/bin/python3"
    ln -s python3.11 "$root/usr/local/bin/python"
    tar -C "$prefix/lib" --exclude='site-packages/*' --exclude=__pycache__ --exclude='python3.11/test' \
        --exclude='config-*' --exclude=idlelib --exclude=tkinter -c python3.11 | tar -C "$root/usr/local/lib" -x
    chroot "$root" ldconfig
    chroot "$root" /usr/local/bin/python -m ensurepip --default-pip >/dev/null
    find "$root/usr/local" \( -name '*.so*' -o -name python3.11 \) -type f -exec strip --strip-unneeded {} + 2>/dev/null || true
    find "$root/usr/local" -name __pycache__ -prune -exec rm -rf {} +
    # The certificates of this machine, for pip inside the build; the official image needs nothing of the kind.
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$root/etc/pip.conf"
    tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["python3"]' --change 'ENV LANG=C.UTF-8' \
        --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' - python:3.11-slim-bookworm
}

for name in "${@:?usage: bases.sh python|services...}"; do
    case $name in
    python) python_base ;;
    services) . "$here/services.sh" ;;
    *)
        echo "bases.sh: no base is called $name" >&2
        exit 2
        ;;
    esac
done
