//! Mutations that know what XML is and which names mean something to us.
//!
//! A mutator of bytes breaks tags nearly always, and then only the parser is searched. This one takes an input apart into
//! tags and texts, moves whole elements, and writes names, namespaces and values that some code of ours compares with. What
//! it does not understand it leaves as it is; one mutation in eight is of bytes all the same.

use std::cell::RefCell;

use rand::{Rng, seq::IndexedRandom};

const NAMES: &[&str] = &[
    "message",
    "presence",
    "iq",
    "body",
    "received",
    "sent",
    "forwarded",
    "result",
    "fin",
    "set",
    "first",
    "last",
    "count",
    "delay",
    "stanza-id",
    "origin-id",
    "request",
    "displayed",
    "markable",
    "composing",
    "paused",
    "active",
    "gone",
    "error",
    "text",
    "query",
    "item",
    "group",
    "feature",
    "identity",
    "prefs",
    "a",
    "r",
    "failed",
    "resumed",
    "enabled",
    "features",
    "mechanisms",
    "mechanism",
    "authentication",
    "inline",
    "fast",
    "bind",
    "bound",
    "sm",
    "csi",
    "limits",
    "max-bytes",
    "jid",
    "success",
    "challenge",
    "failure",
    "continue",
    "additional-data",
    "token",
    "authorization-identifier",
    "starttls",
    "proceed",
    "sasl-channel-binding",
    "channel-binding",
    "subject",
    "thread",
    "item-not-found",
    "ping",
    "ver",
    "replace",
    "retract",
    "reactions",
    "reaction",
    "reply",
    "fallback",
    "spoiler",
    "reference",
    "x",
    "url",
    "desc",
    "unstyled",
    "Description",
    "block",
    "unblock",
    "blocklist",
    "event",
    "items",
    "purge",
    "delete",
    "pubsub",
    "configure",
    "publish",
    "entry",
    "title",
    "summary",
    "content",
    "author",
    "published",
    "updated",
    "link",
    "field",
    "value",
    "option",
    "required",
    "reported",
    "instructions",
    "command",
    "actions",
    "note",
    "vcard",
    "vCard",
    "fn",
    "n",
    "tel",
    "adr",
    "parameters",
    "type",
    "uri",
    "data",
    "metadata",
    "info",
    "nick",
    "photo",
    "idle",
    "conversation",
    "settings",
    "pinned",
    "notify",
    "muted",
    "archived",
    "row",
    "gap",
    "covered",
    "draft",
    "media",
    "preauth",
    "register",
];

const NAMESPACES: &[&str] = &[
    "jabber:client",
    "http://etherx.jabber.org/streams",
    "urn:xmpp:sm:3",
    "urn:xmpp:mam:2",
    "urn:xmpp:forward:0",
    "urn:xmpp:delay",
    "urn:xmpp:sid:0",
    "urn:xmpp:carbons:2",
    "urn:xmpp:receipts",
    "urn:xmpp:chat-markers:0",
    "http://jabber.org/protocol/chatstates",
    "http://jabber.org/protocol/rsm",
    "http://jabber.org/protocol/disco#info",
    "jabber:iq:roster",
    "jabber:iq:version",
    "urn:xmpp:ping",
    "urn:ietf:params:xml:ns:xmpp-stanzas",
    "urn:ietf:params:xml:ns:xmpp-streams",
    "urn:ietf:params:xml:ns:xmpp-sasl",
    "urn:ietf:params:xml:ns:xmpp-bind",
    "urn:ietf:params:xml:ns:xmpp-tls",
    "urn:xmpp:sasl:2",
    "urn:xmpp:bind:0",
    "urn:xmpp:fast:0",
    "urn:xmpp:sasl-cb:0",
    "urn:xmpp:csi:0",
    "urn:xmpp:stream-limits:0",
    "urn:xmpp:features:rosterver",
    "urn:xmpp:message-correct:0",
    "urn:xmpp:message-retract:1",
    "urn:xmpp:reactions:0",
    "urn:xmpp:reply:0",
    "urn:xmpp:fallback:0",
    "urn:xmpp:spoiler:0",
    "urn:xmpp:reference:0",
    "urn:xmpp:styling:0",
    "jabber:x:oob",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "https://ogp.me/ns#",
    "urn:xmpp:blocking",
    "urn:xmpp:reporting:1",
    "http://www.w3.org/2005/Atom",
    "http://www.w3.org/1999/xhtml",
    "jabber:x:data",
    "http://jabber.org/protocol/commands",
    "http://jabber.org/protocol/disco#items",
    "http://jabber.org/protocol/pubsub",
    "http://jabber.org/protocol/pubsub#event",
    "http://jabber.org/protocol/pubsub#owner",
    "urn:ietf:params:xml:ns:vcard-4.0",
    "vcard-temp",
    "vcard-temp:x:update",
    "urn:xmpp:avatar:data",
    "urn:xmpp:avatar:metadata",
    "http://jabber.org/protocol/nick",
    "urn:xmpp:idle:1",
    "http://jabber.org/protocol/caps",
    "urn:whimbrel:settings:0",
    "urn:xmpp:bookmarks-pinning:0",
    "urn:xmpp:notification-settings:1",
    "urn:xmpp:mds:displayed:0",
    "urn:xmpp:hints",
    "jabber:iq:register",
    "urn:xmpp:media-element",
    "urn:xmpp:bob",
    "urn:xmpp:pars:0",
    "urn:xmpp:ibr-token:0",
    "urn:xmpp:pie:0",
    "urn:xmpp:pie:0#mam",
    "https://whimbrel.im/ns/export:0",
    "f",
    "",
];

const ATTRIBUTES: &[&str] = &[
    "from",
    "to",
    "id",
    "type",
    "xml:lang",
    "by",
    "stamp",
    "queryid",
    "complete",
    "stable",
    "h",
    "previd",
    "resume",
    "max",
    "jid",
    "name",
    "subscription",
    "ask",
    "ver",
    "var",
    "node",
    "default",
    "mechanism",
    "token",
    "expiry",
    "ms",
    "location",
    "for",
    "start",
    "end",
    "begin",
    "uri",
    "action",
    "status",
    "sessionid",
    "execute",
    "label",
    "rel",
    "href",
    "cid",
    "width",
    "height",
    "bytes",
    "since",
    "until",
    "at",
    "position",
    "place",
    "local",
    "state",
    "kind",
    "digest",
    "target",
    "namespace",
    "written",
    "reason",
    "with",
    "read",
    "read-id",
    "pinned",
    "archived",
    "muted-until",
    "notify",
    "set-at",
    "cleared",
    "signals",
    "low",
    "high",
    "covered",
    "reached",
    "before",
    "after",
    "file",
];

const VALUES: &[&str] = &[
    "romeo@montague.lit",
    "romeo@montague.lit/phone.1",
    "romeo@montague.lit/other",
    "ROMEO@Montague.lit",
    "montague.lit",
    "juliet@capulet.lit",
    "juliet@capulet.lit/balcony",
    "nurse@capulet.lit",
    "mercutio@verona.lit/x",
    "juli\u{200b}et@capulet.lit",
    "chat",
    "groupchat",
    "headline",
    "error",
    "normal",
    "get",
    "set",
    "result",
    "subscribe",
    "subscribed",
    "unsubscribe",
    "unavailable",
    "probe",
    "both",
    "remove",
    "none",
    "from",
    "to",
    "true",
    "false",
    "1",
    "0",
    "#0",
    "#1",
    "#2",
    "#3",
    "#4",
    "#5",
    "#6",
    "#7",
    "#8",
    "#9",
    "#10",
    "#12",
    "a1",
    "a2",
    "a3",
    "a4",
    "a5",
    "j1",
    "j2",
    "j3",
    "bind",
    "00000000-0000-4000-8000-000000000002",
    "00000000-0000-4000-8000-000000000003",
    "00000000-0000-4000-8000-000000000005",
    "-1",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "9223372036854775807",
    "-9223372036854775808",
    "2147483648",
    "1970-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
    "2026-11-18T10:00:00Z",
    "2026-11-17T10:00:01Z",
    "",
    " ",
    "'",
    "%",
    "*",
    "NEAR(",
    "&#xd;",
    "&#x10FFFF;",
    "always",
    "roster",
    "session-1",
    "session-2",
    "urn:xmpp:mam:2",
    "PLAIN",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256-PLUS",
    "HT-SHA-256-NONE",
    "HT-SHA-256-EXPR",
    "tls-exporter",
    "executing",
    "completed",
    "canceled",
    "form",
    "submit",
    "cancel",
    "hidden",
    "fixed",
    "boolean",
    "jid-multi",
    "list-single",
    "text-multi",
    "text-private",
    "mention",
    "xhtml",
    "html",
    "alternate",
    "deleted",
    "placeholder",
    "payload",
    "correction",
    "xmpp:juliet@capulet.lit",
    "xmpp:romeo@montague.lit?roster;preauth=x",
    "cid:sha1+0@bob.xmpp.org",
    "m1",
    "m2",
    "c1",
    "1024",
    "1048576",
    "281474976710656",
    "4611686018427387904",
    "-4611686018427387904",
    "urn:xmpp:reply:0",
    "urn:xmpp:avatar:metadata",
    "urn:xmpp:microblog:0",
    "urn:xmpp:vcard4",
    "urn:xmpp:mds:displayed:0",
    "urn:whimbrel:settings:0",
    "http://jabber.org/protocol/nick",
    "play",
    "#proof",
    "=",
];

/// What comes often while logging in.
const LOGIN: &[&str] = &[
    "<account xmlns='f' plain='' token='HT-SHA-256-EXPR' resume='' bind2=''/>",
    "<account xmlns='f' bound='' scram='1' starttls=''/>",
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
    "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<secured xmlns='f'/>",
    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism></mechanisms></stream:features>",
    "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-1-PLUS</mechanism><inline><sm xmlns='urn:xmpp:sm:3'/><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism></fast><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/></inline></bind></inline></authentication><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding></stream:features>",
    "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>#proof</challenge>",
    "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>#proof</success>",
    "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<challenge xmlns='urn:xmpp:sasl:2'>#proof</challenge>",
    "<success xmlns='urn:xmpp:sasl:2'><additional-data>#proof</additional-data><authorization-identifier>romeo@montague.lit/phone.1</authorization-identifier><bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/></bound></success>",
    "<success xmlns='urn:xmpp:sasl:2'><additional-data>#proof</additional-data><authorization-identifier>romeo@montague.lit/phone.1</authorization-identifier><resumed xmlns='urn:xmpp:sm:3' h='1' previd='session-1'/></success>",
    "<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>",
    "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>",
    "<resumed xmlns='urn:xmpp:sm:3' previd='session-1' h='1'/>",
    "<failed xmlns='urn:xmpp:sm:3' h='1'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
    "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@montague.lit/phone.1</jid></bind></iq>",
    "<enabled xmlns='urn:xmpp:sm:3' id='session-2' resume='true'/>",
    "<stream:features><register xmlns='http://jabber.org/features/iq-register'/><register xmlns='urn:xmpp:ibr-token:0'/></stream:features>",
    "<iq type='result' id='register'><query xmlns='jabber:iq:register'><instructions>Who?</instructions><username/><password/></query></iq>",
    "<iq type='result' id='register'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='form'><field var='username' type='text-single'><required/></field><field var='password' type='text-private'><required/></field></x></query></iq>",
    "<iq type='result' id='register'/>",
    "<iq type='error' id='register'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
    "<answers xmlns='f' username='romeo' password='pencil'/>",
];

/// What comes often and takes long to be found by chance.
const SNIPPETS: &[&str] = &[
    "<message type='chat' from='juliet@capulet.lit/balcony' to='romeo@montague.lit' id='j9'><body>ay me</body><request xmlns='urn:xmpp:receipts'/><stanza-id xmlns='urn:xmpp:sid:0' by='romeo@montague.lit' id='a9'/></message>",
    "<message type='chat' from='juliet@capulet.lit/balcony' to='romeo@montague.lit' id='j9'><body>ay me</body><origin-id xmlns='urn:xmpp:sid:0' id='j9'/><delay xmlns='urn:xmpp:delay' from='montague.lit' stamp='2026-11-18T10:00:00Z'/></message>",
    "<message from='romeo@montague.lit'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat' from='juliet@capulet.lit/x' to='romeo@montague.lit/y' id='c1'><body>c</body></message></forwarded></received></message>",
    "<message from='romeo@montague.lit'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat' from='romeo@montague.lit/y' to='juliet@capulet.lit' id='c2'><body>d</body><displayed xmlns='urn:xmpp:chat-markers:0' id='j3'/></message></forwarded></sent></message>",
    "<message from='romeo@montague.lit'><result xmlns='urn:xmpp:mam:2' queryid='#5' id='a5'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-18T10:00:00Z'/><message xmlns='jabber:client' type='chat' from='juliet@capulet.lit/x' to='romeo@montague.lit' id='m5'><body>5</body></message></forwarded></result></message>",
    "<message from='romeo@montague.lit'><result xmlns='urn:xmpp:mam:2' queryid='#5' id='a6'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-18T10:00:00Z'/><message xmlns='jabber:client' type='chat' from='romeo@montague.lit/phone.1' to='juliet@capulet.lit' id='00000000-0000-4000-8000-000000000003'><body>By a name</body><origin-id xmlns='urn:xmpp:sid:0' id='00000000-0000-4000-8000-000000000003'/></message></forwarded></result></message>",
    "<iq type='result' id='#5'><fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'><first>a5</first><last>a6</last><count>2</count></set></fin></iq>",
    "<iq type='result' id='#6'><fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><first>a7</first><last>a8</last></set></fin></iq>",
    "<iq type='error' id='#5'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
    "<iq type='result' id='#0' from='romeo@montague.lit'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query></iq>",
    "<iq type='result' id='#2'><query xmlns='jabber:iq:roster' ver='2'><item jid='juliet@capulet.lit' subscription='both'/></query></iq>",
    "<iq type='set' id='p' from='romeo@montague.lit'><query xmlns='jabber:iq:roster' ver='3'><item jid='nurse@capulet.lit' subscription='remove'/></query></iq>",
    "<iq type='get' id='q' from='juliet@capulet.lit/balcony'><query xmlns='http://jabber.org/protocol/disco#info' node='x#y'/></iq>",
    "<presence from='juliet@capulet.lit/balcony' type='unavailable'/>",
    "<presence from='mercutio@verona.lit' type='subscribe'/>",
    "<message type='chat' from='juliet@capulet.lit/balcony' id='r1'><received xmlns='urn:xmpp:receipts' id='00000000-0000-4000-8000-000000000002'/><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
    "<message type='error' from='juliet@capulet.lit' id='00000000-0000-4000-8000-000000000002'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    "<a xmlns='urn:xmpp:sm:3' h='3'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<error xmlns='http://etherx.jabber.org/streams'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>",
    "<cut xmlns='f'/>",
    "<kill xmlns='f'/>",
    "<login xmlns='f' resume='accept'/>",
    "<login xmlns='f' resume='refuse'/>",
    "<login xmlns='f' resume='h'/>",
    "<login xmlns='f' resume='none'/>",
    "<up xmlns='f'/>",
    "<ack xmlns='f'/>",
    "<says xmlns='f'>It is my lady</says>",
    "<says xmlns='f' jid='nurse@capulet.lit'>Good morrow</says>",
    "<older xmlns='f' limit='5'/>",
    "<read xmlns='f'/>",
    "<pass xmlns='f' ms='31000'/>",
    "<pass xmlns='f' ms='61000'/>",
    "<pass xmlns='f' ms='90000000'/>",
    "<clock xmlns='f' to='0'/>",
    "<clock xmlns='f' to='4102444800000'/>",
    "<add xmlns='f' jid='mercutio@verona.lit'/>",
    "<suspend xmlns='f'/>",
    "<disconnect xmlns='f'/>",
    "<network xmlns='f'/>",
    "<network xmlns='f' gone=''/>",
    "<woke xmlns='f'/>",
    "<push xmlns='f' jid='push.capulet.lit' node='n' secret='s'/>",
    "<push xmlns='f'/>",
    "<message type='chat' from='juliet@capulet.lit/balcony' to='romeo@montague.lit' id='c8'><body>ay you</body><replace xmlns='urn:xmpp:message-correct:0' id='j9'/></message>",
    "<message type='chat' from='juliet@capulet.lit/balcony' to='romeo@montague.lit' id='t8'><retract xmlns='urn:xmpp:message-retract:1' id='j9'/><body>gone</body></message>",
    "<message type='chat' from='juliet@capulet.lit/balcony' to='romeo@montague.lit' id='r8'><reactions xmlns='urn:xmpp:reactions:0' id='00000000-0000-4000-8000-000000000002'><reaction>&#x1F44D;</reaction></reactions></message>",
    "<message type='chat' from='juliet@capulet.lit/balcony' to='romeo@montague.lit' id='y8'><body>&gt; said\nanswer</body><reply xmlns='urn:xmpp:reply:0' to='romeo@montague.lit' id='00000000-0000-4000-8000-000000000002'/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='7'/></fallback></message>",
    "<message type='chat' from='juliet@capulet.lit/balcony' to='romeo@montague.lit' id='x8'><body>@romeo https://capulet.lit</body><reference xmlns='urn:xmpp:reference:0' type='mention' begin='0' end='6' uri='xmpp:romeo@montague.lit'/><spoiler xmlns='urn:xmpp:spoiler:0'>hint</spoiler><thread parent='t0'>t1</thread><x xmlns='jabber:x:oob'><url>https://capulet.lit</url><desc>d</desc></x></message>",
    "<iq type='set' id='b1' from='romeo@montague.lit'><block xmlns='urn:xmpp:blocking'><item jid='juliet@capulet.lit'/></block></iq>",
    "<iq type='set' id='b2' from='romeo@montague.lit'><unblock xmlns='urn:xmpp:blocking'/></iq>",
    "<iq type='result' id='#5'><blocklist xmlns='urn:xmpp:blocking'><item jid='juliet@capulet.lit'/></blocklist></iq>",
    "<message from='juliet@capulet.lit' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:avatar:metadata'><item id='da39a3ee5e6b4b0d3255bfef95601890afd80709'><metadata xmlns='urn:xmpp:avatar:metadata'><info id='da39a3ee5e6b4b0d3255bfef95601890afd80709' type='image/png' bytes='3' width='1' height='1'/></metadata></item></items></event></message>",
    "<message from='juliet@capulet.lit' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='http://jabber.org/protocol/nick'><item id='current'><nick xmlns='http://jabber.org/protocol/nick'>Jule</nick></item></items></event></message>",
    "<message from='juliet@capulet.lit' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:microblog:0'><item id='e1'><entry xmlns='http://www.w3.org/2005/Atom'><title>t</title><id>e1</id><updated>2026-11-18T10:00:00Z</updated></entry></item><retract id='e0'/></items></event></message>",
    "<message from='romeo@montague.lit' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:mds:displayed:0'><item id='juliet@capulet.lit'><displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='romeo@montague.lit' id='a2'/></displayed></item></items></event></message>",
    "<message from='romeo@montague.lit' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:whimbrel:settings:0'><item id='juliet@capulet.lit'><settings xmlns='urn:whimbrel:settings:0' at='2026-11-18T10:00:00Z'><pinned xmlns='urn:xmpp:bookmarks-pinning:0'/><notify xmlns='urn:xmpp:notification-settings:1'><never/></notify><muted/><archived/></settings></item></items></event></message>",
    "<message from='romeo@montague.lit' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><purge node='urn:whimbrel:settings:0'/></event></message>",
    "<iq type='result' id='#7' from='juliet@capulet.lit'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'><item id='da39a3ee5e6b4b0d3255bfef95601890afd80709'><data xmlns='urn:xmpp:avatar:data'>iVBO</data></item></items></pubsub></iq>",
    "<iq type='result' id='#7' from='juliet@capulet.lit'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'><item id='current'><vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Juliet</text></fn><tel><uri>tel:+1</uri></tel></vcard></item></items></pubsub></iq>",
    "<iq type='result' id='#7' from='juliet@capulet.lit'><vCard xmlns='vcard-temp'><FN>Juliet</FN><EMAIL><HOME/><INTERNET/><USERID>j@capulet.lit</USERID></EMAIL></vCard></iq>",
    "<iq type='result' id='#7' from='juliet@capulet.lit'><query xmlns='http://jabber.org/protocol/disco#items'><item jid='capulet.lit' node='n' name='N'/></query></iq>",
    "<iq type='result' id='#7' from='juliet@capulet.lit'><command xmlns='http://jabber.org/protocol/commands' node='config' sessionid='s' status='executing'><actions execute='next'><next/></actions><x xmlns='jabber:x:data' type='form'><field var='a' type='boolean'><value>0</value></field></x><note type='warn'>w</note></command></iq>",
    "<presence from='juliet@capulet.lit/balcony'><show>away</show><status>gone</status><idle xmlns='urn:xmpp:idle:1' since='2026-11-18T10:00:00Z'/><x xmlns='vcard-temp:x:update'><photo>da39a3ee5e6b4b0d3255bfef95601890afd80709</photo></x><nick xmlns='http://jabber.org/protocol/nick'>Jule</nick></presence>",
    "<result xmlns='urn:xmpp:mam:2' id='a7'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-18T10:00:00Z'/><message xmlns='jabber:client' type='chat' from='juliet@capulet.lit/x' to='romeo@montague.lit' id='m7'><body>7</body></message></forwarded><row xmlns='https://whimbrel.im/ns/export:0' with='juliet@capulet.lit' position='7340032' at='1795000000000'><archived id='a7' place='7340032'/></row></result>",
    "<conversation xmlns='https://whimbrel.im/ns/export:0' with='juliet@capulet.lit' read='4194304' pinned='1' muted-until='9223372036854775807'><draft>Her vestal livery</draft></conversation>",
    "<gap xmlns='https://whimbrel.im/ns/export:0' kind='0' low='1048576' high='4194304' after='a1' before='a4'/>",
    "<covered xmlns='https://whimbrel.im/ns/export:0' id='a4' position='4194304' at='1795000000000'/>",
    "<item xmlns='jabber:iq:roster' jid='nurse@capulet.lit' subscription='both'><group>Capulets</group></item>",
    "<online xmlns='f'/>",
    "<card xmlns='f'/>",
    "<info xmlns='f'/>",
    "<items xmlns='f'/>",
    "<executes xmlns='f'/>",
    "<node xmlns='f' limit='5'/>",
    "<node xmlns='f'/>",
    "<feed xmlns='f'/>",
    "<follows xmlns='f'>play</follows>",
    "<blocks xmlns='f'/>",
    "<unblocks xmlns='f'/>",
    "<pins xmlns='f'/>",
];

thread_local! {
    /// Elements of other inputs.
    static SEEN: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An input that differs from `data` by one to four mutations.
pub fn xml(data: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..*[1, 1, 2, 4].choose(rng).expect("not empty") {
        data = once(&data, rng);
    }
    data
}

fn once(data: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    if rng.random_ratio(1, 8) {
        return bytes(data, rng);
    }
    let tokens = tokens(data);
    let at = rng.random_range(0..tokens.len().max(1));
    let element = |at: usize| at..end_of(&tokens, at);
    let join = |tokens: &[&[u8]]| tokens.concat();
    match rng.random_range(0..14) {
        // A stanza or something that happens, between two others most often.
        0..=3 => {
            let snippets = if rng.random_ratio(1, 6) { LOGIN } else { SNIPPETS };
            let snippet = snippets.choose(rng).expect("not empty").as_bytes();
            let at = if rng.random_ratio(3, 4) { between(&tokens, at) } else { at.min(tokens.len()) };
            [&join(&tokens[..at]), snippet, &join(&tokens[at..])].concat()
        }
        // What another input had.
        4 => SEEN.with_borrow(|seen| {
            let other = seen.choose(rng).map(Vec::as_slice).unwrap_or_default();
            let at = between(&tokens, at);
            [&join(&tokens[..at]), other, &join(&tokens[at..])].concat()
        }),
        _ if tokens.is_empty() => data.to_vec(),
        // Twice.
        5 => {
            let range = element(at);
            let copy = join(&tokens[range.clone()]);
            SEEN.with_borrow_mut(|seen| {
                if copy.len() < 4_096 && seen.len() < 1_024 {
                    seen.push(copy.clone());
                }
            });
            [&join(&tokens[..range.end]), &copy[..], &join(&tokens[range.end..])].concat()
        }
        // Gone.
        6 => {
            let range = element(at);
            [join(&tokens[..range.start]), join(&tokens[range.end..])].concat()
        }
        // Elsewhere.
        7 => {
            let range = element(at);
            let moved = join(&tokens[range.clone()]);
            let rest = [&tokens[..range.start], &tokens[range.end..]].concat();
            let to = rng.random_range(0..=rest.len());
            [&join(&rest[..to]), &moved[..], &join(&rest[to..])].concat()
        }
        // Wrapped into another element.
        8 => {
            let range = element(at);
            let (name, ns) =
                (NAMES.choose(rng).expect("not empty"), NAMESPACES.choose(rng).expect("not empty"));
            let (open, close) = (format!("<{name} xmlns='{ns}'>"), format!("</{name}>"));
            let inner = join(&tokens[range.clone()]);
            [
                &join(&tokens[..range.start]),
                open.as_bytes(),
                &inner,
                close.as_bytes(),
                &join(&tokens[range.end..]),
            ]
            .concat()
        }
        // Another text.
        9 => {
            let text = VALUES.choose(rng).expect("not empty").as_bytes();
            [&join(&tokens[..at]), text, &join(&tokens[(at + usize::from(!is_tag(tokens[at])))..])].concat()
        }
        // Another tag.
        _ => {
            let tag =
                (at..tokens.len()).find(|at| is_tag(tokens[*at]) && !is_close(tokens[*at])).unwrap_or(at);
            let changed = change_tag(tokens[tag], rng);
            [&join(&tokens[..tag]), &changed[..], &join(&tokens[tag + 1..])].concat()
        }
    }
}

/// One attribute more, less or another; or another namespace.
fn change_tag(tag: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let quotes: Vec<usize> =
        tag.iter().enumerate().filter(|(_, byte)| **byte == b'\'').map(|(at, _)| at).collect();
    let pairs: Vec<(usize, usize)> = quotes.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let value = VALUES.choose(rng).expect("not empty");
    match (rng.random_range(0..4), pairs.choose(rng)) {
        (0 | 1, Some((start, end))) => {
            let is_namespace = tag[..*start].ends_with(b"xmlns=");
            let value = if is_namespace { NAMESPACES.choose(rng).expect("not empty") } else { value };
            [&tag[..=*start], value.as_bytes(), &tag[*end..]].concat()
        }
        (2, Some((start, end))) => {
            let start = tag[..*start].iter().rposition(|byte| *byte == b' ').unwrap_or(*start);
            [&tag[..start], &tag[*end + 1..]].concat()
        }
        _ => {
            let end = tag.len() - if tag.ends_with(b"/>") { 2 } else { 1.min(tag.len()) };
            let name = ATTRIBUTES.choose(rng).expect("not empty");
            [&tag[..end], format!(" {name}='{value}'").as_bytes(), &tag[end..]].concat()
        }
    }
}

fn bytes(data: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut data = data.to_vec();
    let at = rng.random_range(0..=data.len());
    match rng.random_range(0..5) {
        0 => data.truncate(at),
        1 => data.insert(at, rng.random()),
        2 if at < data.len() => data[at] = rng.random(),
        3 if at < data.len() => drop(data.remove(at)),
        // One part very often, or very deep.
        _ => {
            let what = ["x", "<a>", "<a/>", " a='b'", "\r", "&lt;", "&#x1F600;", "<message/>", "</a>"]
                .choose(rng)
                .expect("not empty");
            let times = *[2, 17, 120, 1_100].choose(rng).expect("not empty");
            data.splice(at..at, what.repeat(times).into_bytes());
        }
    }
    data
}

/// Tags and the texts between them.
fn tokens(data: &[u8]) -> Vec<&[u8]> {
    let mut tokens = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let end = if rest[0] == b'<' {
            rest.iter().position(|byte| *byte == b'>').map_or(rest.len(), |end| end + 1)
        } else {
            rest.iter().position(|byte| *byte == b'<').unwrap_or(rest.len())
        };
        let (token, behind) = rest.split_at(end);
        tokens.push(token);
        rest = behind;
    }
    tokens
}

fn is_tag(token: &[u8]) -> bool {
    token.starts_with(b"<")
}

fn is_close(token: &[u8]) -> bool {
    token.starts_with(b"</")
}

fn depth_change(token: &[u8]) -> i32 {
    match token {
        _ if is_close(token) => -1,
        _ if is_tag(token) && !token.ends_with(b"/>") => 1,
        _ => 0,
    }
}

/// Behind the element that begins at this token; behind the token, if none does.
fn end_of(tokens: &[&[u8]], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        depth += depth_change(token);
        if depth <= 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// The nearest place from here on that is inside of no stanza.
fn between(tokens: &[&[u8]], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate() {
        if index >= at && depth <= 0 {
            return index;
        }
        depth += depth_change(token);
    }
    tokens.len()
}
