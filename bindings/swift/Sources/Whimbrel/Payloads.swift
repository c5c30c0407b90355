import Foundation
internal import WhimbrelFFI

// What an app speaks in namespaces of its own: questions and answers, and messages that only it understands.

extension Account {
    /// The app speaks this namespace from now on, or no longer, and on this device: in questions to us, told as ``Event/asked(_:)``, or
    /// in messages that have no text, told as ``Event/newPayload(_:)``. What came before is not looked at again: it is claimed
    /// before the first ``signIn(password:)``. Of strangers nothing is told.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` for what is no namespace, is spoken here already, or is one too many.
    public func claim(_ namespace: String, for what: ClaimKind, on: Bool = true) async throws {
        try await waiting { [account] in try await account.claim(namespace: namespace, what: what.generated, on: on) }
    }

    /// Asks anybody anything (RFC 6120 §8.2.3) with one well-formed element.
    ///
    /// Throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut``, ``WhimbrelError/serverRefused(condition:text:)``, and
    /// ``WhimbrelError/invalidInput(what:)`` where the payload is not one element, or larger than the server takes.
    ///
    /// - Returns: What was answered: one element, or nothing.
    @discardableResult
    public func request(_ payload: String, of address: String, kind: RequestKind = .get) async throws -> String? {
        try await waiting { [account] in
            try await account.request(of: address, kind: kind.generated, payload: payload)
        }
    }

    /// Answers what ``Event/asked(_:)`` told; what is not answered within a minute is refused. Returns when it is durable.
    ///
    /// Throws ``WhimbrelError/notFound`` where it was answered, or asked in an earlier session, and
    /// ``WhimbrelError/invalidInput(what:)`` where the answer is not one element, too large, or no condition.
    public func answer(_ asked: Asked, with answer: Answer) async throws {
        try await waiting { [account] in try await account.answer(asked: asked.id, answer: answer.generated) }
    }

    /// Sends something that only the app understands, in a message that is shown to nobody: one well-formed element in a namespace that
    /// is claimed. Returns its id when it is durable, as sending a text does; the same id again is the same message.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)``, ``WhimbrelError/storageFull``, ``WhimbrelError/databaseUnusable(why:)``.
    @discardableResult
    public func sendPayload(
        _ xml: String, to address: String, id: String = UUID().uuidString.lowercased()
    ) async throws -> String {
        try await waiting { [account] in try await account.sendPayload(id: id, to: address, xml: xml) }
    }

    /// What was exchanged with a contact in a namespace, in the archive's order, up to `limit` of it, 1 to 500. What comes late may
    /// stand before what was read: after ``sync(timeout:)`` it is complete.
    ///
    /// - Parameter after: The id of the one that these stand behind. Throws ``WhimbrelError/notFound`` where there is none.
    public func payloads(
        with address: String, namespace: String, after: String? = nil, limit: Int = 50
    ) async throws -> [Payload] {
        try await waiting { [account] in
            try await account.payloads(
                with: address, namespace: namespace, after: after, limit: UInt32(clamping: limit)
            ).map(Payload.init)
        }
    }
}

/// Where an app speaks a namespace.
public enum ClaimKind: Sendable, Equatable {
    /// In questions to us: ``Event/asked(_:)``.
    case requests
    /// In messages that have no text: ``Event/newPayload(_:)``.
    case messages

    var generated: WhimbrelFFI.ClaimKind {
        switch self {
        case .requests: .requests
        case .messages: .messages
        }
    }
}

/// How something is asked (RFC 6120 §8.2.3).
public enum RequestKind: Sendable, Equatable {
    /// To know something.
    case get
    /// To have something done.
    case set

    init(_ kind: WhimbrelFFI.RequestKind) {
        self =
            switch kind {
            case .get: .get
            case .set: .set
            }
    }

    var generated: WhimbrelFFI.RequestKind {
        switch self {
        case .get: .get
        case .set: .set
        }
    }
}

/// A question in a namespace that the app has claimed.
public struct Asked: Sendable, Equatable, Identifiable {
    /// Of this session.
    public let id: Int64
    /// The full address of who asks; nothing: our server.
    public let from: String?
    /// How.
    public let kind: RequestKind
    /// One element. Nobody has looked into it.
    public let xml: String
}

/// What we answer to a question.
public enum Answer: Sendable, Equatable {
    /// One well-formed element, or nothing.
    case result(xml: String?)
    /// That it cannot be, by a condition of RFC 6120 §8.3.3, such as `item-not-found`.
    case refusal(condition: String)

    var generated: WhimbrelFFI.Answer {
        switch self {
        case .result(let xml): .result(xml: xml)
        case .refusal(let condition): .refusal(condition: condition)
        }
    }
}

/// Something in a message that only the app understands.
public struct Payload: Sendable, Equatable, Identifiable {
    /// Stable for ever.
    public let id: String
    /// The address of whom it is exchanged with.
    public let with: String
    /// The full address of who sent it.
    public let from: String
    /// Whether we did, here or on another device.
    public let isMine: Bool
    /// Its namespace, which is claimed.
    public let namespace: String
    /// The element. Nobody has looked into it.
    public let xml: String
    /// When it reached the server or us.
    public let at: Date
    /// How far it has come, if it is ours.
    public let state: SendState?

    init(_ payload: WhimbrelFFI.Payload) {
        id = payload.id
        with = payload.with
        from = payload.from
        isMine = payload.mine
        namespace = payload.namespace
        xml = payload.xml
        at = Date(milliseconds: payload.at)
        state = payload.state.map(SendState.init)
    }
}
