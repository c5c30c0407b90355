"""slixmpp as one of the devices of an account: it speaks the console's lines (tests/console.md), as far as the devices need them.

It writes with slixmpp's own plugins: carbons (XEP-0280), archive (0313), corrections (0308), reactions (0444), retractions (0424),
answers (0461), what was read (0490). slixmpp keeps no messages, so what it thinks of them is made here, in the most literal way: all that the archive
has, in the archive's order. `view` also says what it was told and the archive does not have.

Here a message is called by its id (XEP-0359) everywhere: `message`, `reply_to`.
"""
import argparse
import asyncio
import json
import os
import sys
import threading

import slixmpp
from slixmpp.exceptions import IqError
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

parser = argparse.ArgumentParser()
for option in ("data", "account", "server", "ca", "peer"):
    parser.add_argument("--" + option)
parser.add_argument("--direct-tls", action="store_true")
arguments = parser.parse_args()
host, port = arguments.server.rsplit(":", 1)


def tell(**line):
    print(json.dumps(line), flush=True)


class Refused(Exception):
    """The request is not for what we know."""


class Said:
    """A stanza of the conversation, as it came."""

    def __init__(self, message, account, archived_as=None):
        def part(name):
            return message.get_plugin(name, check=True)

        self.mine = message["from"].bare in ("", account)
        origin = part("origin_id")
        self.id = origin["id"] if origin else message["id"]
        self.archived_as = archived_as or (message["stanza_id"]["id"] if part("stanza_id") else None)
        self.text = message["body"]
        self.corrects = part("replace") and message["replace"]["id"]
        self.retracts = part("retract") and message["retract"]["id"]
        self.reacts_to = part("reactions") and message["reactions"]["id"]
        self.reactions = sorted(message["reactions"].get_values(all_chars=True)) if self.reacts_to else []
        self.answers = part("reply") and message["reply"]["id"]
        if self.answers:
            self.text = message["reply"].strip_fallback_content()
        self.amends = bool(self.retracts or self.reacts_to or self.corrects)
        self.says_something = self.amends or bool(self.text)


def fold(stanzas):
    """What all of it comes to."""
    messages, roots, seen = {}, {}, set()
    for said in stanzas:
        # What was sent more than once counts where it was first.
        if (said.mine, said.id) in seen:
            continue
        seen.add((said.mine, said.id))
        target = said.retracts or said.reacts_to or said.corrects
        if not target:
            roots[said.id] = said.id
            messages[said.id] = {
                "id": said.id, "mine": said.mine, "text": said.text, "edited": False, "retracted": False,
                "answers": said.answers or None, "reactions": {"mine": [], "theirs": []},
            }
            continue
        root = messages.get(roots.get(target))
        if root is None or (root["mine"] != said.mine and not said.reacts_to):
            continue
        if said.retracts:
            root["retracted"] = True
        elif said.reacts_to:
            root["reactions"]["mine" if said.mine else "theirs"] = said.reactions
        else:
            roots[said.id] = root["id"]
            root["text"], root["edited"], root["last"] = said.text, True, said.id
    return messages


class Device(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(arguments.account, os.environ["WHIMBREL_PASSWORD"])
        self.ca_certs = arguments.ca
        self.enable_direct_tls = True
        self.enable_starttls = False
        for number in ("0280", "0308", "0313", "0359", "0424", "0428", "0444", "0461", "0334", "0490"):
            self.register_plugin("xep_" + number)
        self.told = []  # live, in the order in which it came
        self.archive = []
        self.last = None
        self.read = set()  # the archive's ids that a device of ours has said it has read up to
        self.add_event_handler("session_start", self.on_bound)
        self.register_handler(Callback("everything", StanzaPath("message"), self.on_message))
        self.add_event_handler("message_displayed_synchronization_publish", self.on_read)
        self.add_event_handler("disconnected", lambda _: tell(event="offline", reason="network"))

    async def on_bound(self, _):
        await self.plugin["xep_0280"].enable()
        self.send_presence()
        tell(event="online", resumed=False, after_start=True)

    def on_read(self, message):
        self.note_read(message["pubsub_event"]["items"])

    def note_read(self, items):
        self.read.update(item["displayed"]["stanza_id"]["id"] for item in items if item["id"] == arguments.peer)

    def on_message(self, message):
        own = message["from"].bare in ("", self.boundjid.bare)
        for carbon in ("carbon_sent", "carbon_received"):
            if message.get_plugin(carbon, check=True):
                if own:
                    self.hear(message[carbon])
                return
        if not message.get_plugin("mam_result", check=True) and message["type"] in ("chat", "normal"):
            self.hear(message)

    def hear(self, message):
        said = Said(message, self.boundjid.bare)
        if said.says_something:
            self.told.append(said)

    def known(self, message):
        """What we know of a message that is there to be amended."""
        found = fold(self.archive + self.told).get(message)
        if found is None or found["retracted"]:
            raise Refused("not_found")
        return found

    def say(self, request, message, name):
        message["id"] = request[name]
        message["origin_id"]["id"] = request[name]
        message.send()
        self.hear(message)

    async def send_text(self, request):
        to = request["to"]
        if "reply_to" in request:
            answered = self.known(request["reply_to"])
            author = self.boundjid.bare if answered["mine"] else to
            message = self.plugin["xep_0461"].make_reply(
                author, answered["id"], answered["text"], mto=to, mbody=request["text"], mtype="chat"
            )
        else:
            message = self.make_message(mto=to, mbody=request["text"], mtype="chat")
        self.say(request, message, "message")

    async def edit(self, request):
        known = self.known(request["message"])
        message = self.make_message(mto=request["to"], mbody=request["text"], mtype="chat")
        # Some call what they correct by the last correction.
        message["replace"]["id"] = known.get("last", known["id"]) if request["chain"] else known["id"]
        self.say(request, message, "change")

    async def react(self, request):
        known = self.known(request["message"])
        message = self.make_message(mto=request["to"], mtype="chat")
        message["reactions"]["id"] = known["id"]
        message["reactions"].set_values(request["reactions"], all_chars=True)
        message.enable("store")
        self.say(request, message, "change")

    async def retract(self, request):
        known = self.known(request["message"])
        message = self.make_message(mto=request["to"], mbody="It was retracted.", mtype="chat")
        message["fallback"]["for"] = "urn:xmpp:message-retract:1"
        message["retract"]["id"] = known["id"]
        message.enable("store")
        self.say(request, message, "change")

    async def mark_read(self, request):
        theirs = [said for said in self.told if not said.mine and not said.amends and said.archived_as]
        if theirs:
            await self.plugin["xep_0490"].flag_chat(request["with"], theirs[-1].archived_as)
            self.read.add(theirs[-1].archived_as)

    def unread(self):
        """How many of theirs the archive has behind the last that was read."""
        behind, seen = 0, set()
        for said in self.archive:
            if not said.mine and not said.amends and said.id not in seen:
                behind += 1
                seen.add(said.id)
            if said.archived_as in self.read:
                behind = 0
        return behind

    async def view(self, request):
        while True:
            rsm = {"max": 50, **({"after": self.last} if self.last else {})}
            page = await self.plugin["xep_0313"].retrieve(with_jid=request["with"], rsm=rsm, timeout=60)
            results = page["mam"]["results"]
            for result in results:
                self.last = result["mam_result"]["id"]
                said = Said(result["mam_result"]["forwarded"]["stanza"], self.boundjid.bare, self.last)
                if said.says_something:
                    self.archive.append(said)
            if not results or page["mam_fin"]["complete"] in ("true", True):
                break
        try:
            said_read = await self.plugin["xep_0490"].catch_up()
            # A device that was in a tunnel may have taken the node back. Who knows better says it again; else nobody can know.
            self.read.clear()
            self.note_read(said_read["pubsub"]["items"])
        except IqError as error:
            if error.condition != "item-not-found":
                raise
        archived = {(said.mine, said.id) for said in self.archive}
        # Some servers take what was retracted out of the archive.
        gone = {message["id"] for message in fold(self.told).values() if message["retracted"]}
        strays = [said.id for said in self.told if (said.mine, said.id) not in archived and said.id not in gone]
        return {"messages": list(fold(self.archive).values()), "strays": strays, "unread": self.unread()}

    async def on_asked(self, line):
        request = json.loads(line)
        deeds = {
            "send": self.send_text, "edit": self.edit, "react": self.react, "retract": self.retract,
            "mark_read": self.mark_read, "view": self.view,
        }
        try:
            answer = await deeds[request["do"]](request)
            tell(reply=request["id"], ok=True, **(answer or {}))
        except Refused as refused:
            tell(reply=request["id"], error=str(refused), text="")
        except Exception as error:
            print(repr(error), file=sys.stderr, flush=True)
            tell(reply=request["id"], error="bug", text=repr(error))


async def main():
    device = Device()
    device.connect(host, int(port))
    loop, lines = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        await device.on_asked(line)


asyncio.run(main())
