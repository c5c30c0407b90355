import Foundation
internal import WhimbrelFFI

extension Account {
    /// The feed of an account (XEP-0277), which may be our own. It need not be there yet.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` for what is no address.
    public func feed(of address: String) throws -> Feed {
        try immediately { Feed(try account.feed(of: address), of: address) }
    }

    /// Whether what contacts and our other devices publish in their feeds is kept as it comes. Returns when it is durable.
    public func followFeeds(_ on: Bool = true) async throws {
        try await waiting { [account] in try await account.followFeeds(on: on) }
    }
}

/// The feed of an account, our own or somebody else's (XEP-0277).
///
/// What has come of it is kept, up to a hundred entries, and read without a connection; whatever else is asked of it needs one, and
/// throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut`` or ``WhimbrelError/serverRefused(condition:text:)``. That something
/// in it has changed is told as ``Event/feedChanged(of:)``.
public final class Feed: Sendable {
    private let feed: WhimbrelFFI.Feed

    /// The address of whose it is.
    public let of: String

    init(_ feed: WhimbrelFFI.Feed, of: String) {
        self.feed = feed
        self.of = of
    }

    /// Entries that are here, the newest first, up to `limit` of them.
    ///
    /// - Parameter before: The id of the one that these are older than. Throws ``WhimbrelError/notFound`` where there is none.
    public func entries(before: String? = nil, limit: Int = 50) async throws -> [FeedEntry] {
        try await waiting { [feed] in
            try await feed.entries(limit: UInt32(clamping: limit), before: before).map(FeedEntry.init)
        }
    }

    /// Fetches the newest fifty entries: what was published while nobody followed it, or nobody was online.
    public func refresh() async throws {
        try await waiting { [feed] in try await feed.refresh() }
    }

    /// Publishes an entry, in place of what has its id: so that it can be repeated, and changed. Returns its id when the server has it.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)``, too.
    @discardableResult
    public func publish(_ post: Post, id: String = UUID().uuidString.lowercased()) async throws -> String {
        try await waiting { [feed] in try await feed.publish(id: id, post: post.generated) }
    }

    /// Takes an entry back.
    public func retract(_ id: String) async throws {
        try await waiting { [feed] in try await feed.retract(id: id) }
    }
}

/// What is to be published in a feed.
public struct Post: Sendable, Equatable {
    /// Its title, or all that there is of it.
    public var title: String
    /// Its content.
    public var text: String?
    /// What we are called in it; nothing: the local part of our address.
    public var author: String?
    /// When it was first published, where it is published again; nothing: now.
    public var published: Date?
    /// What it leads to.
    public var links: [FeedEntry.Link]

    /// A title, and what more there is to it.
    public init(
        _ title: String, text: String? = nil, author: String? = nil, published: Date? = nil,
        links: [FeedEntry.Link] = []
    ) {
        self.title = title
        self.text = text
        self.author = author
        self.published = published
        self.links = links
    }

    var generated: WhimbrelFFI.Post {
        WhimbrelFFI.Post(
            title: title, text: text, author: author, published: published?.milliseconds,
            links: links.map {
                WhimbrelFFI.EntryLink(rel: $0.rel, href: $0.href, kind: $0.kind, title: $0.title)
            })
    }
}

/// An entry of a feed.
public struct FeedEntry: Sendable, Equatable, Identifiable {
    /// Its id in the feed.
    public let id: String
    /// When it was published, as it says itself, or when it came here; never in the future.
    public let at: Date
    /// How its author calls it wherever it appears.
    public let atomID: String?
    /// Its title, or all that there is of it.
    public let title: String
    /// Its content, or else its summary, as text.
    public let text: String?
    /// What its author is called.
    public let author: String?
    /// Where its author is found: `xmpp:`, most often. Whoever publishes writes what they want.
    public let authorURI: String?
    /// When it was published, as it says itself.
    public let published: Date?
    /// When it was last changed, as it says itself.
    public let updated: Date?
    /// What it leads to.
    public let links: [Link]

    /// A link of an entry (RFC 4287 §4.2.7).
    public struct Link: Sendable, Equatable {
        /// What it is to the entry: `alternate`, `enclosure`, `replies`, …
        public var rel: String
        /// Where it leads.
        public var href: String
        /// The media type of what is there.
        public var kind: String?
        /// What it is called, for a person.
        public var title: String?

        /// Where it leads, and what is there.
        public init(href: String, rel: String = "alternate", kind: String? = nil, title: String? = nil) {
            self.rel = rel
            self.href = href
            self.kind = kind
            self.title = title
        }
    }

    init(_ entry: WhimbrelFFI.FeedEntry) {
        id = entry.id
        at = Date(milliseconds: entry.at)
        atomID = entry.atomId
        title = entry.title
        text = entry.text
        author = entry.author
        authorURI = entry.authorUri
        published = entry.published.map(Date.init(milliseconds:))
        updated = entry.updated.map(Date.init(milliseconds:))
        links = entry.links.map { Link(href: $0.href, rel: $0.rel, kind: $0.kind, title: $0.title) }
    }
}
