#!/usr/bin/env bash
# Make what workers and ZooKeeper need to trust each other: a certificate authority, a certificate for the three servers,
# one for the workers, and a password. Needs openssl, nothing else.
#
#   scripts/zookeeper-secrets.sh FOLDER zk-1.dchat.internal=10.40.128.10 zk-2.… zk-3.…
#
# The names and addresses are what the output zookeeper_servers says; for the default name and vpc_cidr they are those
# in docs/aws.md. FOLDER gets secrets.tfvars.json, for terraform apply -var-file, and ca.key. Keep both off this machine
# once they are used: whoever has ca.key can make a worker of themselves. Run again, it uses the authority that is there.
set -euo pipefail

if (($# < 2)); then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
folder=$1
shift
days=${DAYS:-730}

umask 077
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[[ -e $folder/ca.key ]] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj "/CN=D-Chat ensemble" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$folder/ca.key" -out "$folder/ca.pem" 2>/dev/null

certificate() { # certificate NAME SUBJECT EXTENSIONS
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$2" -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
    openssl x509 -req -in "$work/$1.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial -CAserial "$work/serial" \
        -days "$days" -extfile <(printf '%s\n' "$3") -out "$work/$1.pem" 2>/dev/null
}

names=
for server in "$@"; do
    [[ $server =~ ^[a-z0-9.-]+=[0-9.]+$ ]] || { echo "$server is not NAME=ADDRESS" >&2; exit 2; }
    names+="${names:+,}DNS:${server%%=*},IP:${server#*=}"
done
# Servers show theirs to each other as well, in both directions.
certificate server zookeeper "subjectAltName=$names
extendedKeyUsage=serverAuth,clientAuth"
certificate worker worker "extendedKeyUsage=clientAuth"

text() { # a file as a JSON string
    printf '"'
    sed ':a;N;$!ba;s/\n/\\n/g' "$@" | tr -d '\n'
    printf '\\n"'
}

cat "$work/server.key" "$work/server.pem" >"$work/both.pem"
{
    printf '{"zookeeper_secrets": {\n'
    printf '  "password": "%s",\n' "$(openssl rand -hex 24)"
    printf '  "ca": %s,\n' "$(text "$folder/ca.pem")"
    printf '  "server": %s,\n' "$(text "$work/both.pem")"
    printf '  "worker_cert": %s,\n' "$(text "$work/worker.pem")"
    printf '  "worker_key": %s\n' "$(text "$work/worker.key")"
    printf '}}\n'
} >"$folder/secrets.tfvars.json"
echo "$folder/secrets.tfvars.json is there; its certificates hold until $(openssl x509 -noout -enddate -in "$work/server.pem" | cut -d= -f2)." >&2
