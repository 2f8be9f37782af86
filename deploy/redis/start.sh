#!/bin/sh
# Starts the Redis of the compose stack. Its one user's password, DCHAT_REDIS_PASSWORD, goes into the list of users as a
# hash, here and now, and is in no argument list. While a password is changed, DCHAT_REDIS_PASSWORD_BEFORE, the one before,
# lets the user in as well. What is given to this script, is given to redis-server.
#
# Nobody can be the user `default`: it is off, and has no password. It has all rights in the list all the same, because a
# Redis that reads its file at start does so as that user, and drops (7.0 and 7.2 do), without them, whatever a script had
# written: https://github.com/redis/redis/issues/14541
set -eu
hashed() { printf %s "$1" | sha256sum | cut -d' ' -f1; }
umask 077
sed "s/DCHAT_REDIS_PASSWORD_SHA256/$(hashed "$DCHAT_REDIS_PASSWORD")/" /etc/redis/users.acl >/tmp/users.acl
if [ -n "${DCHAT_REDIS_PASSWORD_BEFORE:-}" ]; then
  sed -i "s/^user dchat on /&#$(hashed "$DCHAT_REDIS_PASSWORD_BEFORE") /" /tmp/users.acl
fi
exec redis-server --dir /data --appendonly yes --appendfsync everysec --save '' \
  --maxmemory 256mb --maxmemory-policy noeviction --aclfile /tmp/users.acl "$@"
