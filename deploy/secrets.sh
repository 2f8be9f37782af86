#!/bin/sh
# Makes the passwords that docker-compose.yml takes from its environment, in the file `.env` beside it, for its owner only.
# Never writes over one: to change a password that is in use, see docs/rotation.md.
set -eu
cd "$(dirname "$0")/.."
umask 077
set -C
{
  for name in DCHAT_REDIS_PASSWORD DCHAT_ZOOKEEPER_PASSWORD GRAFANA_PASSWORD; do
    echo "$name=$(openssl rand -hex 24)"
  done
} >.env || { echo ".env is there already; it stays as it is." >&2; exit 1; }
echo "Made .env. Remove the volumes of a stack that ran with other passwords: docker compose down --volumes" >&2
