import Foundation
internal import WhimbrelFFI

/// Remove ``removed`` lines at ``at``, then insert ``items`` there.
public struct Splice<Line: Sendable & Equatable>: Sendable, Equatable {
    /// Where, after the splices before this one.
    public let at: Int
    /// How many lines go.
    public let removed: Int
    /// What comes in their place.
    public let items: [Line]
}

/// A change of a list. Its splices are applied in order, as one.
public struct Update<Line: Sendable & Equatable>: Sendable, Equatable {
    /// What to do.
    public let splices: [Splice<Line>]

    /// Makes the list what it is after this change.
    public func apply(to list: inout [Line]) {
        for splice in splices {
            list.replaceSubrange(splice.at..<(splice.at + splice.removed), with: splice.items)
        }
    }
}

/// The changes of a list, for who draws rows one by one.
///
/// The first update makes an empty list what it is now. The listener pulls: what happens while it is busy is merged into the next
/// update, so a slow one holds nobody up and costs no memory. Whoever only wants the list takes ``Snapshots``.
///
/// Each loop follows the list on its own. While the account is suspended it waits; it throws ``WhimbrelError/closed`` when the
/// account or the client is, and `CancellationError`.
public struct Updates<Line: Sendable & Equatable>: AsyncSequence, Sendable {
    /// What a loop gets.
    public typealias Element = Update<Line>

    let subscribe: @Sendable () throws -> Subscription<Line>

    /// Begins to follow.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(subscribe: subscribe)
    }

    /// One loop.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let subscribe: @Sendable () throws -> Subscription<Line>
        private var subscription: Subscription<Line>?
        private var seq: UInt64 = 0

        init(subscribe: @escaping @Sendable () throws -> Subscription<Line>) {
            self.subscribe = subscribe
        }

        /// Waits until the list is another than after the last update. Can be called again after it was cancelled.
        public mutating func next() async throws -> Update<Line>? {
            let subscription = try self.subscription ?? immediately(subscribe)
            self.subscription = subscription
            let (seq, splices) = try await waiting { [seq, next = subscription.next] in try await next(seq) }
            self.seq = seq
            return Update(splices: splices)
        }
    }
}

/// What a loop has of the boundary. A cancelled loop leaves a call behind, which waits: it ends when the loop lets go of this.
final class Subscription<Line: Sendable & Equatable>: Sendable {
    let next: @Sendable (_ after: UInt64) async throws -> (seq: UInt64, splices: [Splice<Line>])
    private let end: @Sendable () throws -> Void

    init(
        next: @escaping @Sendable (_ after: UInt64) async throws -> (seq: UInt64, splices: [Splice<Line>]),
        end: @escaping @Sendable () throws -> Void
    ) {
        self.next = next
        self.end = end
    }

    deinit {
        // It fails only by a panic, and nobody is left to be told.
        try? end()
    }
}

/// A list as it is now, and again whenever it is another.
///
/// Each element is the whole list, an immutable value. Whatever happens while the listener is busy is in the next one; not every
/// state in between is seen. For the errors see ``Updates``.
public struct Snapshots<Line: Sendable & Equatable>: AsyncSequence, Sendable {
    /// What a loop gets.
    public typealias Element = [Line]

    let updates: Updates<Line>

    /// Begins to follow.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(updates: updates.makeAsyncIterator())
    }

    /// One loop.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private var updates: Updates<Line>.AsyncIterator
        private var list: [Line] = []

        init(updates: Updates<Line>.AsyncIterator) {
            self.updates = updates
        }

        /// Waits until the list is another than the last one.
        public mutating func next() async throws -> [Line]? {
            guard let update = try await updates.next() else { return nil }
            update.apply(to: &list)
            return list
        }
    }
}

/// A window of a conversation, oldest first. It reaches from some message to the newest, or, where it was opened at a message, to
/// another.
public final class Timeline: Sendable {
    private let timeline: WhimbrelFFI.Timeline

    /// The address of whom the conversation is with.
    public let with: String

    init(_ timeline: WhimbrelFFI.Timeline, with: String) throws {
        self.timeline = timeline
        self.with = with
        try setUTCOffset(.seconds(TimeZone.current.secondsFromGMT()))
    }

    /// What is shown, now and whenever it changes.
    public var items: Snapshots<TimelineItem> { Snapshots(updates: updates) }

    /// How what is shown changes. New messages and ``older(limit:)`` leave alone what stands between them: a screen keeps its
    /// scroll position.
    public var updates: Updates<TimelineItem> {
        Updates { [timeline] in
            let subscription = try timeline.subscribe()
            return Subscription(
                next: { after in
                    let update = try await subscription.next(after: after)
                    let splices = update.splices.map {
                        Splice(at: Int($0.at), removed: Int($0.removed), items: $0.items.map(TimelineItem.init))
                    }
                    return (update.seq, splices)
                },
                end: subscription.end)
        }
    }

    /// Shows up to `limit` older messages: from the file, and where it has fewer, from the server's archive.
    ///
    /// Throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut`` or ``WhimbrelError/serverRefused(condition:text:)`` where the file
    /// has no more and the archive cannot be asked.
    ///
    /// - Returns: Whether there may be more: where many pages of the archive have nothing of this conversation, nothing is shown and it
    ///   is to be asked again.
    @discardableResult
    public func older(limit: Int = 50) async throws -> Bool {
        try await waiting { [timeline] in try await timeline.older(limit: UInt32(clamping: limit)) }
    }

    /// Shows up to `limit` newer messages, where it does not reach to the newest, as it was opened at a message.
    ///
    /// - Returns: Whether there are more; once there are none it shows whatever comes.
    @discardableResult
    public func newer(limit: Int = 50) async throws -> Bool {
        try await waiting { [timeline] in try await timeline.newer(limit: UInt32(clamping: limit)) }
    }

    /// The local time's offset from UTC, for ``Message/startsDay``. The device's own, until told: it changes with the season and
    /// on journeys.
    public func setUTCOffset(_ offset: Duration) throws {
        try immediately { try timeline.setUtcOffset(minutes: Int32(clamping: offset.components.seconds / 60)) }
    }
}

/// All conversations of an account: the pinned ones first, the archived ones last, among each the newest first.
public struct ConversationList: Sendable {
    let account: WhimbrelFFI.Account

    /// The conversations, now and whenever they change.
    public var items: Snapshots<Conversation> { Snapshots(updates: updates) }

    /// How they change.
    public var updates: Updates<Conversation> {
        Updates { [account] in
            let subscription = try account.conversations().subscribe()
            return Subscription(
                next: { after in
                    let update = try await subscription.next(after: after)
                    let splices = update.splices.map {
                        Splice(at: Int($0.at), removed: Int($0.removed), items: $0.items.map(Conversation.init))
                    }
                    return (update.seq, splices)
                },
                end: subscription.end)
        }
    }
}

/// The roster of an account (RFC 6121 §2) and who asks to be in it, by address.
public struct ContactList: Sendable {
    let account: WhimbrelFFI.Account

    /// The contacts, now and whenever they change.
    public var items: Snapshots<Contact> { Snapshots(updates: updates) }

    /// How they change.
    public var updates: Updates<Contact> {
        Updates { [account] in
            let subscription = try account.contacts().subscribe()
            return Subscription(
                next: { after in
                    let update = try await subscription.next(after: after)
                    let splices = update.splices.map {
                        Splice(at: Int($0.at), removed: Int($0.removed), items: $0.items.map(Contact.init))
                    }
                    return (update.seq, splices)
                },
                end: subscription.end)
        }
    }
}
