"""slixmpp as it comes: signs in, tells that it is there, and waits for one text.

ACCOUNT PASSWORD PORT CA TEXT; prints a line of JSON when the text has come, and goes when its input ends.
"""
import asyncio
import sys

import slixmpp

account, password, port, ca, text = sys.argv[1:6]


class Peer(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(account, password)
        self.ca_certs = ca
        self.enable_direct_tls = True
        self.enable_starttls = False
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", self.came)
        for event in ("failed_all_auth", "connection_failed"):
            self.add_event_handler(event, lambda *_, event=event: print('{"error":"%s"}' % event, flush=True))
        self.seen = asyncio.get_event_loop().create_future()

    async def started(self, _):
        self.send_presence()

    def came(self, message):
        if message["body"] == text and not self.seen.done():
            self.seen.set_result(None)


async def main():
    peer = Peer()
    peer.connect("127.0.0.1", int(port))
    await peer.seen
    print('{"shown":1}', flush=True)
    await asyncio.get_event_loop().run_in_executor(None, sys.stdin.readline)
    await peer.disconnect(wait=1)


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(main())
