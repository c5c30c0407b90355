import Foundation
internal import WhimbrelFFI

/// What to look for. All that is given has to be so.
public struct Search: Sendable, Equatable {
    /// Words, in any order, each of which may go on from two letters on; what stands in double quotes has to stand so. May be empty
    /// where ``from`` or ``hasLink`` is given; else nothing is found.
    public var text: String
    /// In the conversation with this address.
    public var with: String?
    /// Written by the account's own user, if it is the account's address, or by a contact.
    public var from: String?
    /// Not before this.
    public var since: Date?
    /// Before this.
    public var until: Date?
    /// There is a link in it.
    public var hasLink: Bool

    /// Words, and what has to be so besides.
    public init(
        _ text: String, with: String? = nil, from: String? = nil, since: Date? = nil, until: Date? = nil,
        hasLink: Bool = false
    ) {
        self.text = text
        self.with = with
        self.from = from
        self.since = since
        self.until = until
        self.hasLink = hasLink
    }

    var generated: WhimbrelFFI.Search {
        WhimbrelFFI.Search(
            text: text, with: with, from: from, since: since?.milliseconds, until: until?.milliseconds, hasLink: hasLink)
    }
}

/// A page of hits.
public struct Found: Sendable, Equatable {
    /// The newest first.
    public let hits: [Hit]
    /// Where to go on; nothing: that was all.
    public let next: Cursor?

    init(_ found: WhimbrelFFI.Found) {
        hits = found.hits.map(Hit.init)
        next = found.next.map(Cursor.init)
    }
}

/// A message that was found. To open it where it stands: ``Account/timeline(with:at:limit:)``.
public struct Hit: Sendable, Equatable, Identifiable {
    /// It.
    public let message: Message
    /// What in its text to highlight, in order, as attributed strings count.
    public let matches: [NSRange]

    /// The message's.
    public var id: String { message.id }

    init(_ hit: WhimbrelFFI.Hit) {
        message = Message(hit.message)
        matches = hit.matches.map { NSRange(location: Int($0.start), length: Int($0.end) - Int($0.start)) }
    }
}

/// A message that was found in one of all accounts.
public struct FoundIn: Sendable, Equatable {
    /// The address of whose it is.
    public let account: String
    /// It.
    public let hit: Hit
    /// Where it stands among those of all accounts.
    let place: WhimbrelFFI.FoundPlace

    init(_ found: WhimbrelFFI.FoundIn) {
        account = found.place.account
        hit = Hit(found.hit)
        place = found.place
    }
}

/// Where a page of hits has ended.
public struct Cursor: Sendable, Equatable {
    let generated: WhimbrelFFI.Cursor

    init(_ cursor: WhimbrelFFI.Cursor) {
        generated = cursor
    }
}
