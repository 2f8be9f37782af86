#!/usr/bin/env bash
# Run the server in the foreground, until systemd stops it.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/zookeeper/stack.env

docker rm --force zookeeper >/dev/null 2>&1 || true
exec docker run --rm --name zookeeper --network host --user 1000:1000 \
    --read-only --tmpfs /tmp --tmpfs /logs:uid=1000,gid=1000 \
    --cap-drop ALL --security-opt no-new-privileges --ulimit nofile=65536:65536 \
    --log-driver awslogs --log-opt "awslogs-region=$REGION" --log-opt "awslogs-group=$LOG_GROUP" \
    --log-opt "awslogs-stream=zookeeper-$ID" --log-opt mode=non-blocking \
    --volume /etc/zookeeper/zoo.cfg:/conf/zoo.cfg:ro --volume /run/zookeeper:/tls:ro \
    --volume /var/lib/zookeeper/data:/data --volume /var/lib/zookeeper/datalog:/datalog \
    --env ZK_SERVER_HEAP=512 --env SERVER_JVMFLAGS=-Djava.security.auth.login.config=/tls/jaas.conf \
    "$IMAGE"
