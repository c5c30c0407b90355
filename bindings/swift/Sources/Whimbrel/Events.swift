import Foundation
internal import WhimbrelFFI

/// What happened, for logs and for notifications of an app that is running. Lists follow their own updates instead, and how the
/// account is doing is its ``Account/status``.
public enum Event: Sendable, Equatable {
    /// The session is usable: whether the server took us back into the last one, and whether it is the first since the process
    /// started or was resumed.
    case online(resumed: Bool, afterStart: Bool)
    /// The session is gone or could not be had. What happened is said for a person.
    case offline(detail: String)
    /// A message is new here.
    case newMessage(Message)
    /// A message was corrected, retracted or reacted to: so it is shown now.
    case changed(Message)
    /// A message of ours came further.
    case state(id: String, with: String, state: SendState)
    /// The registration for push notifications came further.
    case push(PushState)
    /// Nothing is missing any more.
    case caughtUp
    /// The server's answer was larger than can be read, and what it was about stays as it was: `roster`, `account`, `archive`
    /// or `answer`. The size is in bytes.
    case tooLarge(what: String, size: Int)

    init(_ event: WhimbrelFFI.Event) {
        self =
            switch event {
            case .online(let resumed, let afterStart): .online(resumed: resumed, afterStart: afterStart)
            case .offline(let detail): .offline(detail: detail)
            case .newMessage(let message): .newMessage(Message(message))
            case .changed(let message): .changed(Message(message))
            case .state(let id, let with, let state): .state(id: id, with: with, state: SendState(state))
            case .push(let state): .push(PushState(state))
            case .caughtUp: .caughtUp
            case .tooLarge(let what, let size): .tooLarge(what: what, size: Int(clamping: size))
            }
    }
}

/// What happens to an account from `makeAsyncIterator()` on, in order.
///
/// A loop that falls too far behind misses some; lists never do. It ends when the account is gone.
public struct Events: AsyncSequence, Sendable {
    /// What a loop gets.
    public typealias Element = Event

    let account: WhimbrelFFI.Account

    /// Begins to follow.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(listener: Result { Listener(try immediately(account.events)) })
    }

    /// One loop.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let listener: Result<Listener, any Error>

        /// Waits for the next one.
        public mutating func next() async throws -> Event? {
            let events = try listener.get().events
            return try await waiting { try await events.next() }.map(Event.init)
        }
    }

    /// A cancelled loop leaves a call behind, which waits: it ends when the loop lets go of this.
    final class Listener: Sendable {
        let events: WhimbrelFFI.Events

        init(_ events: WhimbrelFFI.Events) {
            self.events = events
        }

        deinit {
            // It fails only by a panic, and nobody is left to be told.
            try? events.end()
        }
    }
}

/// How an account is doing, now and whenever it changes.
///
/// Nothing in between is promised to be seen. Throws ``WhimbrelError/closed`` when the account or the client is.
public struct Statuses: AsyncSequence, Sendable {
    /// What a loop gets.
    public typealias Element = Status

    let account: WhimbrelFFI.Account

    /// Begins to follow.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(account: account, listener: Result { Listener(try immediately(account.statuses)) })
    }

    /// One loop.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let account: WhimbrelFFI.Account
        let listener: Result<Listener, any Error>
        private var seen: WhimbrelFFI.Status?

        init(account: WhimbrelFFI.Account, listener: Result<Listener, any Error>) {
            self.account = account
            self.listener = listener
        }

        /// The status, if it is another than the last one, or else the next.
        public mutating func next() async throws -> Status? {
            let statuses = try listener.get().statuses
            let status = try await waiting { [account, seen] in
                if let seen { try await statuses.after(seen: seen) } else { try account.status() }
            }
            seen = status
            return Status(status)
        }
    }

    /// A cancelled loop leaves a call behind, which waits: it ends when the loop lets go of this.
    final class Listener: Sendable {
        let statuses: WhimbrelFFI.Statuses

        init(_ statuses: WhimbrelFFI.Statuses) {
            self.statuses = statuses
        }

        deinit {
            // It fails only by a panic, and nobody is left to be told.
            try? statuses.end()
        }
    }
}
