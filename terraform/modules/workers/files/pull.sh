#!/usr/bin/env bash
# Fetch the image, unless it is here. It is called by its digest, so it is the same one for ever.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/dchat/stack.env

docker image inspect "$IMAGE" >/dev/null 2>&1 && exit 0
registry=${IMAGE%%/*}
if [[ $registry == *.dkr.ecr.*.amazonaws.com* ]]; then
    aws --region "$REGION" ecr get-login-password | docker login --username AWS --password-stdin "$registry"
fi
docker pull --quiet "$IMAGE"
