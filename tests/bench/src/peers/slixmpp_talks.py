"""slixmpp in a long conversation: it speaks the console's lines (tests/console.md), as far as the conversation needs them.

With stream management and resumption as its documentation says (XEP-0198, nothing set), and pings every half minute, which is
its way to find out that a link is dead. It leaves connecting again to the app: that is done at once. A message counts as
taken when send() has returned; nothing is said twice. Its archive (XEP-0313) is not asked, as it would not by itself.
"""
import argparse
import asyncio
import json
import os
import sys
import threading

import slixmpp

parser = argparse.ArgumentParser()
for option in ("data", "account", "server", "ca"):
    parser.add_argument("--" + option)
parser.add_argument("--direct-tls", action="store_true")
arguments = parser.parse_args()
host, port = arguments.server.rsplit(":", 1)


def tell(**line):
    print(json.dumps(line), flush=True)


class Peer(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(arguments.account, os.environ["WHIMBREL_PASSWORD"])
        self.ca_certs = arguments.ca
        self.enable_direct_tls = True
        self.enable_starttls = False
        self.register_plugin("xep_0198")
        self.register_plugin("xep_0199", {"keepalive": True, "interval": 30, "timeout": 30})
        self.our_first = True
        self.our_refused = None
        self.add_event_handler("session_start", self.on_bound)
        self.add_event_handler("session_resumed", lambda _: self.on_online(True))
        self.add_event_handler("sm_failed", self.on_failed)
        self.add_event_handler("disconnected", self.on_gone)
        self.add_event_handler("message", self.on_came)

    def on_online(self, resumed):
        tell(event="online", resumed=resumed, after_start=self.our_first, refused=self.our_refused)
        self.our_first, self.our_refused = False, None

    def on_bound(self, _):
        self.send_presence()
        self.on_online(False)

    def on_failed(self, stanza):
        self.our_refused = stanza["condition"] or "failed"

    def on_gone(self, _):
        tell(event="offline")
        self.connect(host, int(port))

    def on_came(self, message):
        if message["type"] in ("chat", "normal") and message["body"]:
            tell(event="message", text=message["body"], mine=False)

    def on_asked(self, line):
        request = json.loads(line)
        if request["do"] == "send":
            message = self.make_message(mto=request["to"], mbody=request["text"], mtype="chat")
            message["id"] = request["message"]
            message.send()
            tell(reply=request["id"], ok=True)
        else:
            tell(reply=request["id"], error="invalid_input")


async def main():
    peer = Peer()
    peer.connect(host, int(port))
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(peer.on_asked, line)
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=read, daemon=True).start()
    await over.wait()


asyncio.run(main())
