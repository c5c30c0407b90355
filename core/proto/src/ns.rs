//! XML namespaces, by the short names that XMPP people use.

macro_rules! namespaces {
    ($($(#[$doc:meta])* $name:ident = $uri:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $uri;)*

        /// All of them: what is spoken here, and by nobody else.
        pub const ALL: &[&str] = &[$($uri),*];
    };
}

namespaces! {
    /// RFC 6120: stanzas of a client.
    JABBER_CLIENT = "jabber:client";
    /// RFC 6120: streams.
    STREAM = "http://etherx.jabber.org/streams";
    /// RFC 6120 §4.9: stream errors.
    STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams";
    /// RFC 6120 §8.3: stanza errors.
    STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas";
    /// RFC 6120 §5: STARTTLS.
    TLS = "urn:ietf:params:xml:ns:xmpp-tls";
    /// RFC 6120 §6: SASL.
    SASL = "urn:ietf:params:xml:ns:xmpp-sasl";
    /// RFC 6120 §7: resource binding.
    BIND = "urn:ietf:params:xml:ns:xmpp-bind";
    /// RFC 6121 §2: roster.
    ROSTER = "jabber:iq:roster";
    /// RFC 6121 §2.6: roster versioning.
    ROSTER_VER = "urn:xmpp:features:rosterver";
    /// XEP-0004: data forms.
    DATA_FORMS = "jabber:x:data";
    /// XEP-0030: service discovery.
    DISCO_INFO = "http://jabber.org/protocol/disco#info";
    /// XEP-0030: service discovery.
    DISCO_ITEMS = "http://jabber.org/protocol/disco#items";
    /// XEP-0050: ad-hoc commands.
    COMMANDS = "http://jabber.org/protocol/commands";
    /// XEP-0059: result set management.
    RSM = "http://jabber.org/protocol/rsm";
    /// XEP-0066: data that lies elsewhere.
    OOB = "jabber:x:oob";
    /// XEP-0077: registration.
    REGISTER = "jabber:iq:register";
    /// XEP-0084: a picture.
    AVATAR_DATA = "urn:xmpp:avatar:data";
    /// XEP-0084: which picture.
    AVATAR_METADATA = "urn:xmpp:avatar:metadata";
    /// XEP-0085: chat states.
    CHAT_STATES = "http://jabber.org/protocol/chatstates";
    /// XEP-0092: software version.
    VERSION = "jabber:iq:version";
    /// XEP-0115: entity capabilities.
    CAPS = "http://jabber.org/protocol/caps";
    /// XEP-0191: blocking.
    BLOCKING = "urn:xmpp:blocking";
    /// XEP-0153: which picture a vCard has.
    VCARD_UPDATE = "vcard-temp:x:update";
    /// XEP-0172: what somebody is called.
    NICK = "http://jabber.org/protocol/nick";
    /// XEP-0184: delivery receipts.
    RECEIPTS = "urn:xmpp:receipts";
    /// XEP-0198: stream management.
    SM = "urn:xmpp:sm:3";
    /// XEP-0199: ping.
    PING = "urn:xmpp:ping";
    /// XEP-0203: delayed delivery.
    DELAY = "urn:xmpp:delay";
    /// XEP-0277: a person's feed.
    MICROBLOG = "urn:xmpp:microblog:0";
    /// XEP-0221: what a field of a form is about.
    MEDIA = "urn:xmpp:media-element";
    /// XEP-0231: data that comes along.
    BOB = "urn:xmpp:bob";
    /// XEP-0280: carbons.
    CARBONS = "urn:xmpp:carbons:2";
    /// XEP-0297: forwarding.
    FORWARD = "urn:xmpp:forward:0";
    /// XEP-0308: corrections.
    CORRECT = "urn:xmpp:message-correct:0";
    /// XEP-0313: message archive.
    MAM = "urn:xmpp:mam:2";
    /// XEP-0319: since when nobody looks.
    IDLE = "urn:xmpp:idle:1";
    /// XEP-0333: chat markers.
    CHAT_MARKERS = "urn:xmpp:chat-markers:0";
    /// XEP-0334: message processing hints.
    HINTS = "urn:xmpp:hints";
    /// XEP-0352: client state.
    CSI = "urn:xmpp:csi:0";
    /// XEP-0357: push notifications.
    PUSH = "urn:xmpp:push:0";
    /// XEP-0054: vCards of old.
    VCARD = "vcard-temp";
    /// RFC 6351: cards.
    VCARD4 = "urn:ietf:params:xml:ns:vcard-4.0";
    /// XEP-0292: the node of a card.
    VCARD4_NODE = "urn:xmpp:vcard4";
    /// XEP-0060: publish-subscribe.
    PUBSUB = "http://jabber.org/protocol/pubsub";
    /// XEP-0060: why a service says no.
    PUBSUB_ERRORS = "http://jabber.org/protocol/pubsub#errors";
    /// XEP-0060: what happened to a node.
    PUBSUB_EVENT = "http://jabber.org/protocol/pubsub#event";
    /// XEP-0060: what only the owner of a node may do.
    PUBSUB_OWNER = "http://jabber.org/protocol/pubsub#owner";
    /// XEP-0060: a node's configuration, as a form.
    NODE_CONFIG = "http://jabber.org/protocol/pubsub#node_config";
    /// XEP-0060 §7.1.5: what a publisher wants of a node.
    PUBLISH_OPTIONS = "http://jabber.org/protocol/pubsub#publish-options";
    /// XEP-0359: stanza ids.
    SID = "urn:xmpp:sid:0";
    /// XEP-0379: a token that was given to somebody.
    PREAUTH = "urn:xmpp:pars:0";
    /// XEP-0372: references.
    REFERENCE = "urn:xmpp:reference:0";
    /// XEP-0382: spoilers.
    SPOILER = "urn:xmpp:spoiler:0";
    /// XEP-0377: reporting.
    REPORTING = "urn:xmpp:reporting:1";
    /// XEP-0386: Bind 2.
    BIND2 = "urn:xmpp:bind:0";
    /// XEP-0388: SASL2.
    SASL2 = "urn:xmpp:sasl:2";
    /// XEP-0393: styling.
    STYLING = "urn:xmpp:styling:0";
    /// XEP-0424: retractions.
    RETRACT = "urn:xmpp:message-retract:1";
    /// XEP-0428: what is only for clients that do not know better.
    FALLBACK = "urn:xmpp:fallback:0";
    /// XEP-0440: channel-binding types.
    SASL_CB = "urn:xmpp:sasl-cb:0";
    /// XEP-0444: reactions.
    REACTIONS = "urn:xmpp:reactions:0";
    /// XEP-0445: registration with an invitation.
    IBR_TOKEN = "urn:xmpp:ibr-token:0";
    /// XEP-0461: replies.
    REPLY = "urn:xmpp:reply:0";
    /// XEP-0478: stream limits.
    LIMITS = "urn:xmpp:stream-limits:0";
    /// RFC 6121 §3.4: approval before anybody asks.
    PRE_APPROVAL = "urn:xmpp:features:pre-approval";
    /// XEP-0490: how far a conversation was read.
    DISPLAYED = "urn:xmpp:mds:displayed:0";
    /// The settings of conversations: a node of ours, see [`crate::settings`].
    SETTINGS = "urn:whimbrel:settings:0";
    /// XEP-0469: pinned conversations.
    PINNING = "urn:xmpp:bookmarks-pinning:0";
    /// XEP-0492: what to be notified of.
    NOTIFICATIONS = "urn:xmpp:notification-settings:1";
    /// XEP-0484: FAST.
    FAST = "urn:xmpp:fast:0";
    /// RFC 4287: entries of a feed.
    ATOM = "http://www.w3.org/2005/Atom";
    /// XEP-0494: who has access to the account.
    CLIENT_ACCESS = "urn:xmpp:cam:0";
    /// XEP-0511: what a link leads to, as RDF.
    RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
    /// XEP-0511: the properties of Open Graph.
    OPEN_GRAPH = "https://ogp.me/ns#";
}
