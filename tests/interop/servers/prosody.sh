#!/bin/bash
# prosody.sh    runs whichever Prosody is on the PATH in the foreground: everything it keeps lies in $WHIMBREL_DIR, its ports
# count up from $WHIMBREL_PORT. Makes the certificates and the three accounts the first time.
# prosody.sh register USER HOST PASSWORD    adds an account, while the server runs or before.
# prosody.sh invite HOST    makes an invitation to register there, and says its link.
#
# `prosody --version` is a trap: it starts a server on the public ports. `prosodyctl about` only answers.
set -e
here=$(cd "$(dirname "$0")" && pwd)
: "${WHIMBREL_DIR:?where the data lies}" "${WHIMBREL_PORT:?the first port of the block}"
config=$here/prosody.cfg.lua
prosodyctl about 2>/dev/null | head -1 | grep -q 'Prosody 1[3-9]' && export WHIMBREL_PROSODY_13=1

register() { prosodyctl --root --config "$config" register "$1" "$2" "$3"; }

if [ "$1" = register ]; then
  register "$2" "$3" "$4"
  exit
fi
if [ "$1" = invite ]; then
  # 13 says its link by the shell of the running server only; 0.12 has no such words.
  exec prosodyctl --root --config "$config" shell invite create_account "$2"
fi
mkdir -p "$WHIMBREL_DIR/data"
. "$here/certificates.sh" "$WHIMBREL_DIR/certs"
if [ ! -f "$WHIMBREL_DIR/accounts" ]; then
  register alice a.test secret-a
  register bob a.test secret-b
  register bob b.test secret-b
  touch "$WHIMBREL_DIR/accounts"
fi
exec prosody --root --config "$config" -F
