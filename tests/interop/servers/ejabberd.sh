#!/bin/bash
# ejabberd.sh    runs ejabberd in the foreground, without Erlang's distribution (no epmd, no node name): everything it keeps
# lies in $WHIMBREL_DIR, its ports count up from $WHIMBREL_PORT. $WHIMBREL_HIBERNATION: seconds a session waits for its client,
# $WHIMBREL_LARGEST: bytes of the largest stanza that a client may send.
# Accounts are made through the HTTP interface of port +4.
set -e
here=$(cd "$(dirname "$0")" && pwd)
dir=${WHIMBREL_DIR:?where the data lies} port=${WHIMBREL_PORT:?the first port of the block}
mkdir -p "$dir/db" "$dir/upload"
. "$here/certificates.sh" "$dir/certs"
sed -e "s#@DIR@#$dir#g" -e "s#@HIBERNATION@#${WHIMBREL_HIBERNATION:-600}#" -e "s#@LOG@#${WHIMBREL_LOG:-info}#" \
  -e "s#@LARGEST@#${WHIMBREL_LARGEST:-262144}#g" \
  -e "s#@STARTTLS@#$port#g" -e "s#@DIRECT_TLS@#$((port + 1))#g" -e "s#@S2S@#$((port + 2))#g" \
  -e "s#@HTTP@#$((port + 4))#g" -e "s#@HTTPS@#$((port + 5))#g" \
  "$here/ejabberd.yml.in" > "$dir/ejabberd.yml"

ebin=$(dirname "$(dpkg -L ejabberd | grep '/ejabberd_app\.beam$')")
export HOME=$dir ERL_LIBS="${ebin%/*/*}" ERL_CRASH_DUMP=$dir/crash.dump
export EJABBERD_CONFIG_PATH=$dir/ejabberd.yml EJABBERD_LOG_PATH=$dir/server.log
cd "$dir"
# No busy waiting: its schedulers would take the two cores that the test needs. Stacks of 64 MB: with Erlang's usual one of
# 1 MB the XML code of 24.12, which recurses in C, takes the whole server down at some 5,000 levels, and we want it to relay 30,000.
exec erl -noinput +K true +sss 8192 +sssdcpu 8192 +sssdio 8192 +sbwt none +sbwtdcpu none +sbwtdio none -pa "$ebin" \
  -mnesia dir "\"$dir/db\"" -sasl sasl_error_logger false -s ejabberd
