#!/usr/bin/env bash
# Run the worker in the foreground, until systemd stops it.
#
# It has the machine's network: a thousand times N streams through a bridge are entries in a table that fills up, and one
# hop to the machine's role is all that IMDS allows.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/dchat/stack.env

docker rm --force dchat >/dev/null 2>&1 || true
token=$(curl -sSf --max-time 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
instance=$(curl -sSf --max-time 5 -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/instance-id)

exec docker run --rm --name dchat --network host --user 5000:5000 \
    --read-only --tmpfs /tmp:uid=5000,gid=5000,mode=0700 \
    --cap-drop ALL --security-opt no-new-privileges --ulimit nofile=131072:131072 \
    --log-driver awslogs --log-opt "awslogs-region=$REGION" --log-opt "awslogs-group=$LOG_GROUP" \
    --log-opt "awslogs-stream=$instance" --log-opt mode=non-blocking --log-opt max-buffer-size=8m \
    --env-file /etc/dchat/settings.env --env-file /run/dchat/secret.env --volume /run/dchat/tls:/run/dchat/tls:ro \
    "$IMAGE"
