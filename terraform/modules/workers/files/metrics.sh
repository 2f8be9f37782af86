#!/usr/bin/env bash
# Tell CloudWatch what scaling and alarms look at, once a minute: a handful of numbers out of the worker's /metrics.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/dchat/stack.env

metrics=$(curl -sSf --max-time 10 "http://127.0.0.1:$PORT/metrics")

# Leader and compaction are told by the worker that leads alone, so no line may be missed by an average: each is a
# value of the chat, and the alarms take its maximum.
data=$(awk -v chat="$CHAT" '
    BEGIN {
        name["dchat_streams"] = "Streams";                             unit["Streams"] = "Count"
        name["dchat_leader"] = "Leader";                               unit["Leader"] = "Count"
        name["dchat_log_reader_alive"] = "LogReaderAlive";             unit["LogReaderAlive"] = "Count"
        name["dchat_compaction_lag_seconds"] = "CompactionLag";        unit["CompactionLag"] = "Seconds"
        name["dchat_compaction_rooms_stuck"] = "RoomsStuck";           unit["RoomsStuck"] = "Count"
        name["dchat_shards_behind"] = "ShardsBehind";                  unit["ShardsBehind"] = "Count"
        name["dchat_loop_lag_seconds"] = "LoopLag";                    unit["LoopLag"] = "Seconds"
    }
    /^dchat_/ {
        metric = $1; sub(/\{.*/, "", metric)
        if (metric in name && $NF == $NF + 0)
            printf "%s{\"MetricName\":\"%s\",\"Value\":%s,\"Unit\":\"%s\",\"Dimensions\":[{\"Name\":\"Chat\",\"Value\":\"%s\"}]}",
                   sep, name[metric], $NF, unit[name[metric]], chat
        if (metric in name && $NF == $NF + 0) sep = ","
    }' <<<"$metrics")
[[ -n $data ]] || { echo "the worker tells no metrics" >&2; exit 1; }

# What is refused is counted since the worker began: CloudWatch is told how many came since it was last told. A count
# that is lower than then is a new worker's.
last=/run/dchat/refused
mkdir -p "${last%/*}"
before=() now=()
[[ -e $last ]] && read -ra before <"$last"
for code in backend_unavailable internal; do
    count=$(awk -v code="code=\"$code\"" \
        '/^dchat_refused_requests_total\{/ && index($0, code) { sum += $NF } END { printf "%d", sum }' <<<"$metrics")
    since=$((count - ${before[${#now[@]}]:-0}))
    ((since >= 0)) || since=$count
    now+=("$count")
    [[ $code == internal ]] && metric=Mistakes || metric=RefusedForTheLog
    data+=",{\"MetricName\":\"$metric\",\"Value\":$since,\"Unit\":\"Count\",\"Dimensions\":[{\"Name\":\"Chat\",\"Value\":\"$CHAT\"}]}"
done

aws --region "$REGION" cloudwatch put-metric-data --namespace "$METRICS_NAMESPACE" --metric-data "[$data]"
echo "${now[*]}" >"$last"
