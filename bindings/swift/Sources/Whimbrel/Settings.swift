import Foundation
internal import WhimbrelFFI

// What an app tells the library.

/// What the app decides about all of its accounts.
public struct Options: Sendable, Equatable {
    /// The name of the software, told to the server and to contacts (XEP-0092, XEP-0388).
    public var software: String
    /// This process is an extension of the app, such as the one for notifications: it takes an account only if the app has
    /// suspended it, is gone, or says nothing for a second because the system has stopped it. Otherwise the account's calls throw
    /// ``WhimbrelError/inUse``.
    public var isExtension: Bool

    /// As an app wants it; the rest as by default.
    public init(software: String = "Whimbrel", isExtension: Bool = false) {
        self.software = software
        self.isExtension = isExtension
    }

    var generated: WhimbrelFFI.Options {
        WhimbrelFFI.Options(software: software, extension: isExtension)
    }
}

/// What is to be sent.
public struct Outgoing: Sendable, Equatable {
    /// The text, without what it answers.
    public var text: String
    /// The message in the same conversation that it answers (XEP-0461).
    public var replyTo: String?
    /// To be shown only when asked for, with this hint, which may be empty (XEP-0382).
    public var spoiler: String?
    /// The thread that it belongs to (RFC 6121 §5.2.5).
    public var thread: Message.Thread?
    /// Data that lies elsewhere (XEP-0066).
    public var links: [Message.Link]
    /// What links in the text lead to (XEP-0511).
    public var previews: [Message.Preview]
    /// Who is named in the text (XEP-0372), 32 at most.
    public var mentions: [Mention]
    /// Not to leave later than this: then it has failed.
    public var notAfter: Date?

    /// A text, and what more there is to it.
    public init(
        _ text: String, replyTo: String? = nil, spoiler: String? = nil, thread: Message.Thread? = nil,
        links: [Message.Link] = [], previews: [Message.Preview] = [], mentions: [Mention] = [],
        notAfter: Date? = nil
    ) {
        self.text = text
        self.replyTo = replyTo
        self.spoiler = spoiler
        self.thread = thread
        self.links = links
        self.previews = previews
        self.mentions = mentions
        self.notAfter = notAfter
    }

    var generated: WhimbrelFFI.Outgoing {
        WhimbrelFFI.Outgoing(
            text: text, replyTo: replyTo, spoiler: spoiler,
            thread: thread.map { WhimbrelFFI.MessageThread(id: $0.id, parent: $0.parent) },
            links: links.map { WhimbrelFFI.Link(url: $0.url, description: $0.description) },
            previews: previews.map {
                WhimbrelFFI.Preview(
                    url: $0.url, title: $0.title, description: $0.description, site: $0.site, images: $0.images)
            },
            mentions: mentions.map(\.generated), notAfter: notAfter?.milliseconds)
    }

    /// Somebody is named in a text.
    public struct Mention: Sendable, Equatable {
        /// By which part, as attributed strings count: `NSRange(range, in: text)` of a `String`. No two overlap.
        public var range: NSRange
        /// Their address.
        public var whom: String

        /// Whom that part names.
        public init(range: NSRange, whom: String) {
            self.range = range
            self.whom = whom
        }

        var generated: WhimbrelFFI.Mention {
            // What is nowhere is refused by the core.
            WhimbrelFFI.Mention(
                start: UInt32(clamping: range.lowerBound), end: UInt32(clamping: range.upperBound), whom: whom)
        }
    }
}

/// How an account connects. The default finds everything by the account's domain.
public struct Connection: Sendable, Equatable {
    /// A server given by hand, for intranets and tests: nothing is looked up.
    public var server: Server?
    /// `host:port` of a SOCKS5 proxy. Names are resolved by the proxy.
    public var proxy: String?
    /// Certificates to trust besides the platform's, as PEM.
    public var certificates: String?
    /// The only keys that the server may have, as SHA-256 of the public key in its certificate in hexadecimal. Where there are
    /// any, nothing else is trusted, and nothing else in a certificate is looked at.
    public var keys: [String]
    /// What the user calls this device; part of the full address.
    public var resource: String?
    /// Allows a server that knows nothing better to see the password itself, over verified TLS (RFC 4616).
    public var allowsPlain: Bool

    /// As an app wants it; the rest as by default.
    public init(
        server: Server? = nil, proxy: String? = nil, certificates: String? = nil, keys: [String] = [],
        resource: String? = nil, allowsPlain: Bool = false
    ) {
        self.server = server
        self.proxy = proxy
        self.certificates = certificates
        self.keys = keys
        self.resource = resource
        self.allowsPlain = allowsPlain
    }

    var generated: WhimbrelFFI.Connection {
        WhimbrelFFI.Connection(
            server: server.map { WhimbrelFFI.Server(host: $0.host, port: $0.port, directTls: $0.usesDirectTLS) },
            proxy: proxy, certificates: certificates, keys: keys, resource: resource, allowPlain: allowsPlain)
    }
}

/// A server given by hand.
public struct Server: Sendable, Equatable {
    /// Name or address.
    public var host: String
    /// TCP port.
    public var port: UInt16
    /// TLS from the first byte (XEP-0368), and not by STARTTLS.
    public var usesDirectTLS: Bool

    /// As an app wants it; the rest as by default.
    public init(host: String, port: UInt16, usesDirectTLS: Bool = false) {
        self.host = host
        self.port = port
        self.usesDirectTLS = usesDirectTLS
    }
}

/// What the platform says of the network.
public struct Network: Sendable, Equatable {
    /// Whether there is any.
    public var isAvailable: Bool
    /// Which one, by a name that is the same whenever the device is in it; compared, and never looked into. What was learned of
    /// a network is remembered by this; without it, by the kind.
    public var id: String?
    /// What kind.
    public var kind: Kind
    /// Whether its bytes cost money.
    public var isMetered: Bool
    /// The addresses of its servers for names, where the platform tells; else the system's own are asked.
    public var dns: [String]

    /// As an app wants it; the rest as by default.
    public init(
        isAvailable: Bool = true, id: String? = nil, kind: Kind, isMetered: Bool = false, dns: [String] = []
    ) {
        self.isAvailable = isAvailable
        self.id = id
        self.kind = kind
        self.isMetered = isMetered
        self.dns = dns
    }

    /// What kind of network.
    public enum Kind: Sendable, Equatable {
        /// The platform does not say.
        case unknown
        /// Wireless LAN.
        case wifi
        /// Mobile.
        case cellular
        /// By wire.
        case wired
    }

    var generated: WhimbrelFFI.Network {
        let kind: WhimbrelFFI.NetworkKind =
            switch self.kind {
            case .unknown: .unknown
            case .wifi: .wifi
            case .cellular: .cellular
            case .wired: .wired
            }
        return WhimbrelFFI.Network(available: isAvailable, id: id, kind: kind, metered: isMetered, dns: dns)
    }
}
