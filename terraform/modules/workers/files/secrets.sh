#!/usr/bin/env bash
# Fetch what the worker shows to ZooKeeper into memory (/run). Run before each start.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/dchat/stack.env

umask 077
mkdir -p /run/dchat/tls
secret=$(aws --region "$REGION" secretsmanager get-secret-value --secret-id "$SECRET_ARN" --query SecretString --output text)

jq -er .ca <<<"$secret" >/run/dchat/tls/ca.pem
jq -er .cert <<<"$secret" >/run/dchat/tls/worker.pem
jq -er .key <<<"$secret" >/run/dchat/tls/worker.key
jq -er '"DCHAT_ZOOKEEPER_SASL=dchat:" + .password' <<<"$secret" >/run/dchat/secret.env
# The user that run.sh gives to the container.
chown -R 5000:5000 /run/dchat/tls
