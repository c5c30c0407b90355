import Foundation
internal import WhimbrelFFI

/// One account. Every object of the same address is the same account.
///
/// Calls are commands: they return when the account has taken them durably, and what becomes of them is seen in the lists. A call
/// whose task is cancelled throws `CancellationError`, and may have been taken all the same.
public final class Account: Sendable {
    let account: WhimbrelFFI.Account

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

    /// What happens from when a loop over it begins, in order.
    public var events: Events { Events(account: account) }

    /// Connects with this password, keeps it in the encrypted database, and stays connected from then on. Returns when online.
    ///
    /// Throws ``WhimbrelError/wrongPassword`` or ``WhimbrelError/untrusted(what:)``; ``WhimbrelError/notFound``,
    /// ``WhimbrelError/serverRefused(condition:text:)``, or ``WhimbrelError/offline`` where there is no connection: in these three
    /// cases it goes on trying. Whatever the answer, the account stays: who gives up, or mistyped the address, calls
    /// ``Client/removeAccount(_:)``.
    public func signIn(password: String) async throws {
        try await waiting { [account] in try await account.signIn(password: password) }
    }

    /// Connects as signed in before and stays connected. Returns at once: the status tells how it goes. Without a password of an earlier
    /// ``signIn(password:)`` it is offline with ``WhimbrelError/wrongPassword``.
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
        try await send(Outgoing(text), to: address, id: id)
    }

    /// The same for what has more to it than a text.
    ///
    /// Throws ``WhimbrelError/notFound``, too, where what it answers is not in this conversation.
    @discardableResult
    public func send(
        _ what: Outgoing, to address: String, id: String = UUID().uuidString.lowercased()
    ) async throws -> String {
        try await waiting { [account] in try await account.send(id: id, to: address, what: what.generated) }
    }

    /// Gives a message of ours another text (XEP-0308). What has not left yet leaves with it; else a correction follows. Returns when
    /// it is durable: until it has left, it is the ``Message/change`` of the item.
    ///
    /// The id is the change's: whoever repeats a call with it has done it once. What has failed becomes another message, under this
    /// id, that ``retry(_:)`` sends: the first one may be known somewhere as it was. Mentions, links and previews are those of the
    /// old text, and go with it.
    ///
    /// Throws ``WhimbrelError/notFound``; ``WhimbrelError/invalidInput(what:)`` as sending does, and where the
    /// message is not ours or was retracted; ``WhimbrelError/storageFull`` or ``WhimbrelError/databaseUnusable(why:)``.
    public func edit(
        _ message: String, text: String, id: String = UUID().uuidString.lowercased()
    ) async throws {
        try await waiting { [account] in try await account.edit(id: id, message: message, text: text) }
    }

    /// Takes a message of ours back (XEP-0424). What has not left yet is gone; others are asked to forget it, and need not. Throws as
    /// ``edit(_:text:id:)``.
    public func retract(_ message: String, id: String = UUID().uuidString.lowercased()) async throws {
        try await waiting { [account] in try await account.retract(id: id, message: message) }
    }

    /// All that we feel about a message, in the place of what we said before (XEP-0444); nothing takes it all back.
    ///
    /// Throws as ``edit(_:text:id:)``, but for anybody's message; ``WhimbrelError/invalidInput(what:)`` where one is empty or longer
    /// than 64 bytes, or there are more than 32.
    public func react(
        to message: String, with reactions: [String], id: String = UUID().uuidString.lowercased()
    ) async throws {
        try await waiting { [account] in try await account.react(id: id, message: message, reactions: reactions) }
    }

    /// Sends once more what failed: a message, or the ``Message/change`` of one, by its id.
    ///
    /// Throws ``WhimbrelError/notFound``, and ``WhimbrelError/invalidInput(what:)`` where it has not failed, or is a change and
    /// another one was made since.
    public func retry(_ id: String) async throws {
        try await waiting { [account] in try await account.retry(message: id) }
    }

    /// Does not send what has not left yet, and forgets what failed: a message, or the ``Message/change`` of one, by its id.
    ///
    /// Throws ``WhimbrelError/notFound``, and ``WhimbrelError/invalidInput(what:)`` where it is under way or sent.
    public func cancel(_ id: String) async throws {
        try await waiting { [account] in try await account.cancel(message: id) }
    }

    /// Deletes a message on this device and no other. Whatever brings it again, it does not come back; what was not sent yet is not
    /// sent.
    ///
    /// Throws ``WhimbrelError/notFound``.
    public func deleteMessage(_ message: String) async throws {
        try await waiting { [account] in try await account.delete(what: .message(id: message)) }
    }

    /// Deletes all that was said with a contact so far, as ``deleteMessage(_:)``.
    public func deleteConversation(with address: String) async throws {
        try await waiting { [account] in try await account.delete(what: .conversation(with: address)) }
    }

    /// Deletes everything, in all conversations, that reached the server or us before some time, as ``deleteMessage(_:)``.
    public func deleteAll(before time: Date) async throws {
        try await waiting { [account] in try await account.delete(what: .before(at: time.milliseconds)) }
    }

    /// A conversation's newest `limit` messages, and all that come.
    ///
    /// - Parameter message: A message to show instead of the newest, such as a ``Hit``'s: half of the others are older, and it pages
    ///   both ways. Throws ``WhimbrelError/notFound`` where the conversation has no such message.
    public func timeline(with address: String, at message: String? = nil, limit: Int = 50) async throws -> Timeline {
        try await waiting { [account] in
            let timeline = try await account.timeline(with: address, limit: UInt32(clamping: limit), at: message)
            return try Timeline(timeline, with: address)
        }
    }

    /// Looks for messages, the newest first, up to `limit` of them, 1 to 500. What has just come is found, too.
    ///
    /// - Parameter before: Where the page before this one ended: its ``Found/next``.
    public func search(_ search: Search, before: Cursor? = nil, limit: Int = 50) async throws -> Found {
        try await waiting { [account] in
            let limit = UInt32(clamping: limit)
            return Found(try await account.search(search: search.generated, before: before?.generated, limit: limit))
        }
    }

    /// All conversations: the pinned ones first, the archived ones last, among each the newest first.
    public var conversations: ConversationList { ConversationList(account: account) }

    /// The roster, and who asks to be in it.
    public var contacts: ContactList { ContactList(account: account) }

    /// Everything in this conversation was seen. Tells the contact, if they asked and may know (XEP-0333).
    public func markRead(_ address: String) async throws {
        try await waiting { [account] in try await account.markRead(with: address) }
    }

    /// Keeps what was begun and not sent in a conversation, over kills, too; nothing, or an empty draft: no longer. Sending its text
    /// ends it. It stays on this device. Each call writes to the disk: not for every key.
    public func setDraft(_ draft: Draft?, with address: String) async throws {
        try await waiting { [account] in try await account.setDraft(with: address, draft: draft?.generated) }
    }

    /// Whether a conversation stands above those that are not pinned. This, and what is muted, archived and to be notified of, is
    /// decided for all of our devices; of two decisions the later counts.
    public func setPinned(_ pinned: Bool, with address: String) async throws {
        try await waiting { [account] in try await account.setPinned(with: address, pinned: pinned) }
    }

    /// Until when nothing in a conversation is notified of; nothing: from now on again.
    public func setMuted(_ muted: Mute?, with address: String) async throws {
        try await waiting { [account] in try await account.setMuted(with: address, muted: muted?.generated) }
    }

    /// Whether a conversation stands apart, behind all others. A message brings it back, unless it is muted.
    public func setArchived(_ archived: Bool, with address: String) async throws {
        try await waiting { [account] in try await account.setArchived(with: address, archived: archived) }
    }

    /// Of what in a conversation to be notified (XEP-0492), while it is not muted.
    public func setNotify(_ notify: Notify, with address: String) async throws {
        try await waiting { [account] in try await account.setNotify(with: address, notify: notify.generated) }
    }

    /// Tells a contact that we are typing, or no longer (XEP-0085). Not kept, not repeated. Once when it begins and once when it pauses,
    /// not for every key; a message that is sent ends it. Who knows no chat states, strangers, and those for whom ``Signals`` say so
    /// are sent nothing, which is no error.
    ///
    /// Throws ``WhimbrelError/offline``.
    public func setChatState(_ state: ChatState, with address: String) async throws {
        try await waiting { [account] in try await account.setChatState(with: address, state: state.generated) }
    }

    /// Adds or renames a contact and asks to see their presence (RFC 6121 §2.3, §3.1). Can be done offline.
    public func addContact(_ address: String, name: String? = nil) async throws {
        try await waiting { [account] in try await account.addContact(jid: address, name: name) }
    }

    /// Changes how a contact is called and grouped, and nothing else (RFC 6121 §2.4).
    public func editContact(_ address: String, name: String?, groups: [String]) async throws {
        try await waiting { [account] in try await account.editContact(jid: address, name: name, groups: groups) }
    }

    /// Hears no more of an account, one of its devices, or a whole server, and tells the server why, if that is given (XEP-0191, 0377).
    /// Returns when it is durable: the server is told as soon as there is a connection. One that does not know how to block refuses;
    /// then the address is off the list again.
    public func block(_ address: String, report: Report? = nil) async throws {
        try await waiting { [account] in try await account.block(jid: address, report: report?.generated) }
    }

    /// Hears of them again.
    public func unblock(_ address: String) async throws {
        try await waiting { [account] in try await account.unblock(jid: address) }
    }

    /// The addresses of whom we do not hear.
    public var blocked: [String] {
        get async throws { try await waiting { [account] in try await account.blocked() } }
    }

    /// The picture of this hash, which a ``Contact`` or a ``Conversation`` has; nothing where it is not here.
    public func avatar(_ hash: String) async throws -> Picture? {
        try await waiting { [account] in try await account.avatar(hash: hash).map(Picture.init) }
    }

    /// Shows this picture of ourselves, or none (XEP-0084). Returns when it is durable.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where it is none, or larger than a MiB or than the server takes.
    public func setAvatar(_ picture: Picture?) async throws {
        try await waiting { [account] in try await account.setAvatar(picture: picture?.generated) }
    }

    /// Tells contacts what we are called (XEP-0172); empty: nothing. Returns when it is durable.
    public func setNickname(_ name: String) async throws {
        try await waiting { [account] in try await account.setNickname(name: name) }
    }

    /// How we are there, as it was set last; also while we are offline. At first ``Presence/Show/available`` without a text.
    public func presence() async throws -> Presence {
        try await waiting { [account] in Presence(try await account.presence()) }
    }

    /// How we are there, as those see it who may see our presence, and what we say of it (RFC 6121 §4.7.2); no or an empty text: nothing.
    /// It stays on this device; each of our devices has its own. Returns when it is durable: it is said at once or as soon as there is a
    /// connection, and again by every new session.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` for a text of more than 1024 bytes or with control characters.
    public func setPresence(_ show: Presence.Show, text: String? = nil) async throws {
        try await waiting { [account] in try await account.setPresence(show: show.generated, text: text) }
    }

    /// Removes a contact (RFC 6121 §2.5). The messages stay.
    public func removeContact(_ address: String) async throws {
        try await waiting { [account] in try await account.removeContact(jid: address) }
    }

    /// Lets a contact see our presence (RFC 6121 §3.1.4), also one that has not asked yet (§3.4): once they ask they are answered.
    public func acceptContact(_ address: String) async throws {
        try await waiting { [account] in try await account.acceptContact(jid: address) }
    }

    /// Does not let them see our presence (RFC 6121 §3.2), whether they ask, were accepted before they did, or see it now.
    public func declineContact(_ address: String) async throws {
        try await waiting { [account] in try await account.declineContact(jid: address) }
    }

    /// What contacts are told in general.
    public func signals() async throws -> Signals {
        try await waiting { [account] in Signals(try await account.signals()) }
    }

    /// What contacts are told of what we do, unless it is decided otherwise for one of them. It stays on this device. Strangers are told
    /// nothing, whatever is decided.
    public func setSignals(_ signals: Signals) async throws {
        try await waiting { [account] in try await account.setSignals(signals: signals.generated) }
    }

    /// What one of them is told; nothing given: as in general.
    public func setSignals(_ signals: Signals?, with address: String) async throws {
        try await waiting { [account] in
            try await account.setSignalsWith(jid: address, signals: signals?.generated)
        }
    }

    /// Whether to notify of what strangers write: see ``Conversation/isStranger``. At first it is so.
    public func setNotifyOfStrangers(_ on: Bool) async throws {
        try await waiting { [account] in try await account.setNotifyOfStrangers(on: on) }
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
