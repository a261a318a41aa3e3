#!/bin/sh
# Installs the service programs that tests start for themselves, where that may be done: as root on Debian or Ubuntu.
# Elsewhere it says in one line which are missing; tests that need them are skipped then. Never fails, starts no
# service, and asks no mirror when everything is there. NO_INSTALL=1: install nothing.
set -u

[ $# -gt 0 ] || set -- postgresql redis-server radosgw ceph-mon ceph-osd ceph-mgr ceph-common

say() { echo "tests/services: $*" >&2; }

command -v dpkg-query >/dev/null 2>&1 || { say "not Debian: tests that need $* are skipped where these are missing"; exit 0; }

missing=
for package in "$@"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || [ -n "${NO_INSTALL:-}" ]; then
  say "some tests are skipped; to run them: apt-get install$missing"
  exit 0
fi

# Debian starts what it installs unless this file says no (invoke-rc.d(8)). An existing one is somebody's own.
policy=/usr/sbin/policy-rc.d
log=$(mktemp) || exit 0
made=
clean() { rm -f "$log"; [ -z "$made" ] || rm -f "$policy"; }
trap clean EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' >"$policy" && made=yes; then chmod 755 "$policy"; fi

export DEBIAN_FRONTEND=noninteractive
say "installing$missing"
# shellcheck disable=SC2086 # one word for each package
if ! { apt-get -qq -o DPkg::Lock::Timeout=120 update &&
  apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
  say "could not install$missing: $(grep -m1 '^E:' "$log" || tail -n 1 "$log")"
fi
exit 0
