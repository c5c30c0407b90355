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
    /// A message is new here. `notify` says whether to notify of it, if nobody looks at its conversation: it was not read here or on
    /// another device, and its user wants to be notified of such messages. Whether another device is in use at this moment is
    /// not known. What is shown of it is to be taken back when its conversation has nothing unread any more, or when ``changed(_:)``
    /// says that it was retracted.
    case newMessage(Message, notify: Bool)
    /// A message was corrected, retracted or reacted to: so it is shown now.
    case changed(Message)
    /// A message of ours came further.
    case state(id: String, with: String, state: SendState)
    /// We are asked something in a namespace that the app has claimed, by somebody who may see us. It is to be answered within a
    /// minute: see ``Account/answer(_:with:)``.
    case asked(Asked)
    /// Something in a message that only the app understands is new here.
    case newPayload(Payload)
    /// Something in the feed of this address is new, changed or gone.
    case feedChanged(of: String)
    /// Items were published to a node that is followed or subscribed to, of an account or a service; of very many the first.
    case published(of: String, node: String, items: [NodeItem])
    /// Items of such a node were taken back; none: all that there were.
    case retracted(of: String, node: String, ids: [String])
    /// Our subscription to a node is another: its owner has approved it, declined it or ended it (XEP-0060 §12.11).
    case subscriptionChanged(of: String, node: String, state: NodeSubscription.State)
    /// A change of the password has come to its end.
    case password(PasswordChange)
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
            case .newMessage(let message, let notify): .newMessage(Message(message), notify: notify)
            case .changed(let message): .changed(Message(message))
            case .state(let id, let with, let state): .state(id: id, with: with, state: SendState(state))
            case .asked(let asked, let from, let kind, let xml):
                .asked(Asked(id: asked, from: from, kind: RequestKind(kind), xml: xml))
            case .newPayload(let payload): .newPayload(Payload(payload))
            case .feedChanged(let of): .feedChanged(of: of)
            case .published(let of, let node, let items):
                .published(of: of, node: node, items: items.map(NodeItem.init))
            case .retracted(let of, let node, let ids): .retracted(of: of, node: node, ids: ids)
            case .subscriptionChanged(let of, let node, let state):
                .subscriptionChanged(of: of, node: node, state: NodeSubscription.State(state))
            case .password(done: true, condition: _): .password(.done)
            case .password(done: false, let condition): .password(.refused(condition: condition ?? ""))
            case .push(let state): .push(PushState(state))
            case .caughtUp: .caughtUp
            case .tooLarge(let what, let size): .tooLarge(what: what, size: Int(clamping: size))
            }
    }
}

/// How a change of the password has ended: see ``Account/changePassword(_:)``.
public enum PasswordChange: Sendable, Equatable {
    /// The new one counts.
    case done
    /// The old one counts: the server did not take the new one, by a condition of RFC 6120 §8.3.3.
    case refused(condition: String)
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
