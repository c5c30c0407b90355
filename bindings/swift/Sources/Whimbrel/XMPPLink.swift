import Foundation
internal import WhimbrelFFI

/// An `xmpp:` link, as pages and QR codes have them (RFC 5122). Reading or writing one does nothing. It may come from anybody: nobody
/// acts on one before a person has said so.
public struct XMPPLink: Sendable, Equatable {
    /// Whom it is about: an account, one of its devices, a server or a service. Nothing only if there is an account.
    public var address: String?
    /// What to do there; nothing: talk to them.
    public var action: Action?
    /// As whom of our own accounts to do it, where it says.
    public var account: String?

    /// What a link asks for (XEP-0147). Parameters that do not stand here are left out, but for ``Action/other(name:parameters:)``.
    public enum Action: Sendable, Equatable {
        /// Write a message, with this begun already: its text, its subject, its thread (RFC 6121 §5.2.5).
        case message(body: String? = nil, subject: String? = nil, thread: String? = nil)
        /// Ask to see their presence.
        case subscribe
        /// No longer see it.
        case unsubscribe
        /// Add a contact, so called and in these groups. With the token they accept us without being asked (XEP-0379): see
        /// ``Account/addInviter(_:token:name:)``; and if it registers, one may register with their server, too (XEP-0401).
        case roster(name: String? = nil, groups: [String] = [], token: String? = nil, registers: Bool = false)
        /// Remove a contact.
        case remove
        /// Register with a server, under this name if the address has one, by the token of an invitation (XEP-0445): see
        /// ``Client/register(_:token:connection:)``.
        case register(token: String? = nil)
        /// Enter a room (XEP-0045 §17.3.3).
        case join(password: String? = nil)
        /// Something else: the query type, of which the XMPP Registrar keeps a list, and its parameters in their order.
        case other(name: String, parameters: [Parameter] = [])
    }

    /// A parameter of a link.
    public struct Parameter: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// What it says; of one without a value nothing.
        public var value: String

        /// A name, and what it says.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// A link to somebody, and what to do there.
    public init(address: String?, action: Action? = nil, account: String? = nil) {
        self.address = address
        self.action = action
        self.account = account
    }

    /// Reads a link, or what a QR code says.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` for what is no `xmpp:` link.
    public init(uri: String) throws {
        let link = try immediately { try readXmppLink(uri: uri) }
        self.init(address: link.address, action: link.action.map(Action.init), account: link.account)
    }

    /// The link as text, in ASCII: for a link, or a QR code of one's own.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where it names nobody or what is no address, is too long, has characters that no XML
    /// has, or would be read as something else.
    public func written() throws -> String {
        let link = WhimbrelFFI.XmppLink(address: address, action: action?.generated, account: account)
        return try immediately { try writeXmppLink(link: link) }
    }
}

extension XMPPLink.Action {
    init(_ action: WhimbrelFFI.XmppLinkAction) {
        self =
            switch action {
            case .message(let body, let subject, let thread): .message(body: body, subject: subject, thread: thread)
            case .subscribe: .subscribe
            case .unsubscribe: .unsubscribe
            case .roster(let name, let groups, let token, let registers):
                .roster(name: name, groups: groups, token: token, registers: registers)
            case .remove: .remove
            case .register(let token): .register(token: token)
            case .join(let password): .join(password: password)
            case .other(let name, let parameters):
                .other(name: name, parameters: parameters.map { XMPPLink.Parameter(name: $0.name, value: $0.value) })
            }
    }

    var generated: WhimbrelFFI.XmppLinkAction {
        switch self {
        case .message(let body, let subject, let thread): .message(body: body, subject: subject, thread: thread)
        case .subscribe: .subscribe
        case .unsubscribe: .unsubscribe
        case .roster(let name, let groups, let token, let registers):
            .roster(name: name, groups: groups, token: token, registers: registers)
        case .remove: .remove
        case .register(let token): .register(token: token)
        case .join(let password): .join(password: password)
        case .other(let name, let parameters):
            .other(name: name, parameters: parameters.map { WhimbrelFFI.XmppLinkParameter(name: $0.name, value: $0.value) })
        }
    }
}
