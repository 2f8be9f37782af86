#!/usr/bin/env bash
# Fetch password and certificates into memory (/run), readable by the server alone. Run before each start.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/zookeeper/stack.env

umask 077
mkdir -p /run/zookeeper
secret=$(aws --region "$REGION" secretsmanager get-secret-value --secret-id "$SECRET_ARN" --query SecretString --output text)

jq -er .ca <<<"$secret" >/run/zookeeper/ca.pem
jq -er .server <<<"$secret" >/run/zookeeper/server.pem
jq -er '"Server {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n    user_dchat=\"" + .password + "\";\n};"' \
    <<<"$secret" >/run/zookeeper/jaas.conf
chown -R 1000:1000 /run/zookeeper
