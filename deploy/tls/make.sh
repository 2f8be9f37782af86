#!/bin/sh
# Makes a private certificate authority, and a certificate for each part of the stack, for docker-compose.tls.yml:
#
#   deploy/tls/make.sh [FOLDER]      FOLDER: where to; deploy/tls/made as a rule
#
# Run it again to renew the certificates (they are good for 90 days; the authorities, for ten years, stay), and restart
# the parts one after the other. FOLDER is its owner's alone; of what is in it each container is shown its own folder.
# ZooKeeper's nodes have an authority of their own among themselves: no worker can pass for one of them.
set -eu
days=90
made=${1:-$(dirname "$0")/made}
umask 077
mkdir -p "$made"
cd "$made"

authority() { # name
  if [ ! -f "$1.key" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=D-Chat $1" \
      -addext basicConstraints=critical,CA:true,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign \
      -keyout "$1.key" -out "$1.crt" 2>/dev/null
  fi
}

certificate() { # authority folder name
  mkdir -p "$2"
  printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' "$2" >extensions
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \
    -keyout "$2/$3.key.new" -out request 2>/dev/null
  openssl x509 -req -in request -CA "$1.crt" -CAkey "$1.key" -days "$days" -extfile extensions \
    -set_serial "0x$(openssl rand -hex 16)" -out "$2/$3.crt.new" 2>/dev/null
  cat "$2/$3.key.new" "$2/$3.crt.new" >"$2/$3.pem.new"
  cp "$1.crt" "$2/$1.crt"
  for file in "$2/$3".*.new; do mv "$file" "${file%.new}"; done
  rm extensions request
  # Containers have users of their own; on this machine FOLDER keeps everybody else out.
  chmod a+rx "$2"
  chmod a+r "$2"/*
}

authority ca
authority nodes-ca
for part in redis worker balancer zookeeper1 zookeeper2 zookeeper3; do
  certificate ca "$part" part
done
for node in zookeeper1 zookeeper2 zookeeper3; do
  certificate nodes-ca "$node" node
done
chmod 700 .
echo "Certificates for $days days are in $made. People's browsers and programs need $made/ca.crt." >&2
