import Foundation
internal import WhimbrelFFI

/// One account. Every object of the same address is the same account.
///
/// Calls are commands: they return when the account has taken them durably, and what becomes of them is seen in the lists. A call
/// whose task is cancelled throws `CancellationError`, and may have been taken all the same.
public final class Account: Sendable {
    private let account: WhimbrelFFI.Account

    /// Whose account it is.
    public let address: String

    init(_ account: WhimbrelFFI.Account) throws {
        self.account = account
        address = try account.address()
    }

    /// How it is doing.
    public var status: Status {
        do {
            return Status(try account.status())
        } catch {
            return .offline(reason: WhimbrelError(thrown: error), detail: "", nextAttempt: nil)
        }
    }

    /// How it is doing, now and whenever that changes.
    public var statuses: Statuses { Statuses(account: account) }

    /// What happens from now on, in order.
    public var events: Events { Events(account: account) }

    /// Connects with this password, keeps it in the encrypted database, and stays connected from then on. Returns when online.
    ///
    /// Throws ``WhimbrelError/wrongPassword``, ``WhimbrelError/untrusted(what:)``, ``WhimbrelError/notFound``,
    /// ``WhimbrelError/serverRefused(condition:text:)``, or ``WhimbrelError/offline`` where there is no connection; in the last
    /// case, and only there, it goes on trying.
    public func signIn(password: String) async throws {
        try await waiting { [account] in try await account.signIn(password: password) }
    }

    /// Connects as signed in before and stays connected. Returns at once: the status tells how it goes.
    public func connect() async throws {
        try await waiting { [account] in try await account.connect() }
    }

    /// Closes the session on the server and stays offline.
    public func disconnect() async throws {
        try await waiting { [account] in try await account.disconnect() }
    }

    /// Sends a text and returns its id when it is durable: how far it comes is the ``Message/state`` of its item. Can be done
    /// offline.
    ///
    /// The same id again is the same message: a call that was cancelled, or whose process was killed, is repeated with its id and
    /// makes no second one.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where the id is no UUID or the text is empty or too long,
    /// ``WhimbrelError/storageFull``, ``WhimbrelError/databaseUnusable(why:)``.
    @discardableResult
    public func send(
        _ text: String, to address: String, id: String = UUID().uuidString.lowercased()
    ) async throws -> String {
        try await waiting { [account] in try await account.send(id: id, to: address, text: text) }
    }

    /// A conversation's newest `limit` messages, and all that come.
    public func timeline(with address: String, limit: Int = 50) async throws -> Timeline {
        try await waiting { [account] in
            try Timeline(await account.timeline(with: address, limit: UInt32(clamping: limit)), with: address)
        }
    }

    /// All conversations, the newest first.
    public var conversations: ConversationList { ConversationList(account: account) }

    /// The roster, and who asks to be in it.
    public var contacts: ContactList { ContactList(account: account) }

    /// Everything in this conversation was seen. Tells the contact, if they asked and may know (XEP-0333).
    public func markRead(_ address: String) async throws {
        try await waiting { [account] in try await account.markRead(with: address) }
    }

    /// Tells a contact that we are typing, or no longer (XEP-0085). Not kept, not repeated.
    ///
    /// Throws ``WhimbrelError/offline``.
    public func setChatState(_ state: ChatState, with address: String) async throws {
        try await waiting { [account] in try await account.setChatState(with: address, state: state.generated) }
    }

    /// Adds or renames a contact and asks to see their presence (RFC 6121 §2.3, §3.1). Can be done offline.
    public func addContact(_ address: String, name: String? = nil) async throws {
        try await waiting { [account] in try await account.addContact(jid: address, name: name) }
    }

    /// Removes a contact (RFC 6121 §2.5). The messages stay.
    public func removeContact(_ address: String) async throws {
        try await waiting { [account] in try await account.removeContact(jid: address) }
    }

    /// Lets a contact see our presence (RFC 6121 §3.1.4).
    public func acceptContact(_ address: String) async throws {
        try await waiting { [account] in try await account.acceptContact(jid: address) }
    }

    /// Has our server tell this app server when something comes while this device is away (XEP-0357), and no other; nothing:
    /// nobody. Returns when it is durable: the server is told as soon as there is a connection, and again in each new session.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` for what is no app server's address or an empty node.
    public func setPush(_ push: Push?) async throws {
        try await waiting { [account] in try await account.setPush(push: push?.generated) }
    }

    /// How far the registration for push notifications is.
    public var pushState: PushState {
        get async throws { try await waiting { [account] in PushState(try await account.push()) } }
    }

    /// Returns when caught up: no gap open since the first sign-in, and nothing waiting to be sent.
    ///
    /// Throws ``WhimbrelError/timedOut``, or ``WhimbrelError/offline`` where there was no connection at the end of the time.
    public func sync(timeout: Duration) async throws {
        try await waiting { [account] in try await account.sync(timeout: timeout.seconds) }
    }

    /// Sends a stanza as it is: one well-formed `message`, `presence` or `iq`. It is counted, kept and resent like any other of
    /// ours.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where it is not.
    public func sendRaw(_ xml: String) async throws {
        try await waiting { [account] in try await account.sendRaw(xml: xml) }
    }
}
