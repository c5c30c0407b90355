import Foundation
internal import WhimbrelFFI

extension Client {
    /// Asks a server for a new account (XEP-0077). It connects as `connection` says, and so does the account.
    ///
    /// Throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut``, ``WhimbrelError/notFound`` where there is no such host,
    /// ``WhimbrelError/untrusted(what:)``, and ``WhimbrelError/serverRefused(condition:text:)`` where it registers nobody, or the
    /// invitation counts no more (`item-not-found`).
    ///
    /// - Parameters:
    ///   - address: The server's, or the new account's where it has a name already.
    ///   - token: That of an invitation (XEP-0445), as an ``XMPPLink`` has it.
    public func register(
        _ address: String, token: String? = nil, connection: Connection = Connection()
    ) async throws -> Registration {
        try await waiting { [client] in
            try Registration(await client.register(jid: address, token: token, connection: connection.generated))
        }
    }

    /// Deletes the account on its server (XEP-0077 §3.2), with all that the server has of it, and then as ``removeAccount(_:)``. It has
    /// to be online.
    ///
    /// Throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut`` or ``WhimbrelError/serverRefused(condition:text:)``, and then
    /// nothing was deleted here; where the link was lost before the server's answer the account may be gone there.
    public func deleteAccount(_ address: String) async throws {
        try await waiting { [client] in try await client.deleteAccount(jid: address) }
    }
}

/// A server that was asked for an account and wants to know something. Letting go of it ends the stream; nothing is left of it.
public final class Registration: Sendable {
    private let registration: WhimbrelFFI.Registration

    /// What the server wants to know.
    public let form: RegistrationForm

    init(_ registration: WhimbrelFFI.Registration) throws {
        self.registration = registration
        form = RegistrationForm(try registration.form())
    }

    /// Answers, by the names of the fields, and signs in with the account that the server makes of it. Where it refuses, another
    /// answer can be given on the same form.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where something is missing, or the invitation is for another name;
    /// ``WhimbrelError/serverRefused(condition:text:)`` as the server says: `conflict` where the name is taken, `not-acceptable`
    /// for a wrong answer or a weak password; ``WhimbrelError/offline`` or ``WhimbrelError/timedOut`` where the stream has ended: the
    /// server may have made the account all the same, and signing in tells.
    @discardableResult
    public func submit(_ answers: [String: String]) async throws -> Account {
        try await waiting { [registration] in try Account(await registration.submit(answers: answers)) }
    }
}

/// What a server wants to know of who wants an account (XEP-0077).
public struct RegistrationForm: Sendable, Equatable {
    /// What the server says to it, for a person.
    public let instructions: String?
    /// In its order.
    public let fields: [Field]
    /// Where else one may register (XEP-0066): nowhere here, if there are no fields.
    public let url: String?

    /// One question.
    public struct Field: Sendable, Equatable {
        /// How it is named in the answer: `username` and `password` are always called so.
        public let name: String
        /// What to call it before a person.
        public let label: String?
        /// How to ask (XEP-0004 §3.3): `text-single`, `text-private`, `boolean`, `list-single`, `hidden`, `fixed`, and so on.
        public let kind: String
        /// There is no account without an answer.
        public let isRequired: Bool
        /// What it is, if nobody says otherwise.
        public let value: String?
        /// What it can be.
        public let choices: [Choice]
        /// What it is about (XEP-0221), such as a picture of letters (XEP-0158).
        public let media: [Media]
    }

    /// One of the answers that a question takes.
    public struct Choice: Sendable, Equatable {
        /// What to call it before a person.
        public let label: String?
        /// The answer.
        public let value: String
    }

    /// Something to look at or to listen to.
    public struct Media: Sendable, Equatable {
        /// Its media type, as the server says.
        public let kind: String
        /// Itself; empty where it is not here.
        public let bytes: Data
        /// Where it lies.
        public let uri: String
    }

    init(_ form: WhimbrelFFI.RegistrationForm) {
        instructions = form.instructions
        fields = form.fields.map { field in
            Field(
                name: field.name, label: field.label, kind: field.kind, isRequired: field.required, value: field.value,
                choices: field.choices.map { Choice(label: $0.label, value: $0.value) },
                media: field.media.map { Media(kind: $0.kind, bytes: $0.bytes, uri: $0.uri) })
        }
        url = form.url
    }
}
