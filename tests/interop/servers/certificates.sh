#!/bin/bash
# certificates.sh DIR    makes DIR/ca.crt and one certificate for every name that the servers use, unless they are there.
# Sourced by the start scripts. Thirty days are enough for a directory that lives as long as a test.
set -e
certs=$1
hosts=(localhost a.test b.test muc.a.test muc.b.test muc.localhost upload.a.test upload.b.test upload.localhost)
if [ ! -f "$certs/all.pem" ]; then
  mkdir -p "$certs"
  ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  openssl req -x509 "${ec[@]}" -days 30 -subj "/CN=Whimbrel test authority" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$certs/ca.key" -out "$certs/ca.crt" 2>/dev/null
  openssl req "${ec[@]}" -subj "/CN=a.test" -keyout "$certs/all.key" -out "$certs/all.csr" 2>/dev/null
  names=$(printf 'DNS:%s,' "${hosts[@]}")
  openssl x509 -req -in "$certs/all.csr" -CA "$certs/ca.crt" -CAkey "$certs/ca.key" -CAcreateserial -days 30 \
    -out "$certs/all.crt" 2>/dev/null \
    -extfile <(printf '%s\n' "subjectAltName=${names}IP:127.0.0.1" "extendedKeyUsage=serverAuth,clientAuth")
  rm "$certs/all.csr"
  for host in "${hosts[@]}"; do
    cp "$certs/all.crt" "$certs/$host.crt"
    cp "$certs/all.key" "$certs/$host.key"
  done
  # Last, since its presence says that the rest is there.
  cat "$certs/all.crt" "$certs/all.key" > "$certs/all.pem"
fi
