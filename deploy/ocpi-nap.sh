#!/bin/sh
# /usr/local/bin/ocpi-nap: commands with the settings, and as the user, of the service.
if [ ! -r /etc/ocpi-nap.env ]; then
    echo "ocpi-nap: run it as root or as the user ocpi-nap, who may read /etc/ocpi-nap.env." >&2
    exit 1
fi
set -a
. /etc/ocpi-nap.env
set +a
[ "$(id -un)" = ocpi-nap ] && exec /opt/ocpi-nap/bin/ocpi-nap "$@"
# Before the service was started for the first time after the machine was.
[ -z "$TMPDIR" ] || [ -d "$TMPDIR" ] || install -d -o ocpi-nap -g ocpi-nap "$TMPDIR"
# The user may not enter every folder that root is in.
exec runuser -u ocpi-nap -- sh -c '[ -x . ] || cd /; exec /opt/ocpi-nap/bin/ocpi-nap "$@"' ocpi-nap "$@"
