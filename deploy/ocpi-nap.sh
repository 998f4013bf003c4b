#!/bin/sh
# /usr/local/bin/ocpi-nap: commands with the settings, and as the user, of the service.
set -a
. /etc/ocpi-nap.env
set +a
[ "$(id -un)" = ocpi-nap ] && exec /opt/ocpi-nap/bin/ocpi-nap "$@"
# The user may not enter every folder that root is in.
exec runuser -u ocpi-nap -- sh -c '[ -x . ] || cd /; exec /opt/ocpi-nap/bin/ocpi-nap "$@"' ocpi-nap "$@"
