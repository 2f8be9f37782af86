#!/usr/bin/env bash
# Mount the data disk at /var/lib/zookeeper; a new one is given a file system first. It outlives the machine.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/zookeeper/stack.env

device="/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${VOLUME_ID/-/}"
# It is attached only when the machine runs, which takes a while.
for _ in $(seq 300); do
    [[ -e $device ]] && break
    sleep 1
done
[[ -e $device ]] || { echo "$VOLUME_ID was not attached within 300 s" >&2; exit 1; }

# blkid says 2 when there is nothing on it. Whatever else it says, nothing is overwritten.
found=0
blkid -p "$device" >/dev/null || found=$?
case $found in
    0) ;;
    2) mkfs.xfs "$device" ;;
    *) echo "$device cannot be read (blkid says $found)" >&2; exit 1 ;;
esac

mkdir -p /var/lib/zookeeper
mountpoint -q /var/lib/zookeeper || mount -o noatime,nodev,nosuid,noexec "$device" /var/lib/zookeeper
mkdir -p /var/lib/zookeeper/data /var/lib/zookeeper/datalog
echo "$ID" >/var/lib/zookeeper/data/myid
# The user of the image.
chown -R 1000:1000 /var/lib/zookeeper/data /var/lib/zookeeper/datalog
