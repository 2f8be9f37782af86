#!/usr/bin/env bash
# Ask IMDS what the Auto Scaling group plans with this machine; when it is to end, drain the worker and say so.
#
# The group has the balancer stop sending new requests at the same time; SETTLE_S is for that to have happened.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/dchat/stack.env

imds=http://169.254.169.254/latest

ask() {
    local token
    token=$(curl -sSf --max-time 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/api/token") || return
    curl -sSf --max-time 2 -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/$1"
}

# A question that is not answered is asked again; the group ends the machine in any case when its own time is over.
until [[ $(ask autoscaling/target-lifecycle-state 2>/dev/null || true) == Terminated ]]; do
    sleep "$POLL_S"
done

echo "this machine is to end: draining"
sleep "$SETTLE_S"
systemctl stop dchat.service

instance=$(ask instance-id)
for pause in 2 4 8 16 16; do
    aws --region "$REGION" autoscaling complete-lifecycle-action --auto-scaling-group-name "$GROUP" \
        --lifecycle-hook-name "$HOOK" --instance-id "$instance" --lifecycle-action-result CONTINUE && exit 0
    # The group may still wait for the balancer, and only then for us.
    sleep "$pause"
done
echo "the group was not told; it goes on by itself after the hook's time" >&2
