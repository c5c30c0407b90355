import Foundation
internal import WhimbrelFFI

// The account itself: its password, its server, who has access to it, all of it as a file.

extension Account {
    /// Gives the account another password on its server (XEP-0077 §3.3). Whatever happens meanwhile, the next login is by the one that
    /// counts.
    ///
    /// Throws ``WhimbrelError/offline`` where there is no connection; where it was lost meanwhile, or with
    /// ``WhimbrelError/timedOut``, nobody knows yet, and ``Event/password(_:)`` tells. ``WhimbrelError/serverRefused(condition:text:)``
    /// where the server takes no such password, and ``WhimbrelError/invalidInput(what:)`` where it is empty, too long or cannot be
    /// sent, or another change is under way.
    public func changePassword(_ password: String) async throws {
        try await waiting { [account] in try await account.changePassword(password: password) }
    }

    /// What our server says of itself: whom to turn to (XEP-0157), where outages are told (XEP-0455), its software (XEP-0092). Without
    /// a connection what it said last.
    ///
    /// Throws ``WhimbrelError/offline`` where it never said anything, ``WhimbrelError/timedOut``,
    /// ``WhimbrelError/serverRefused(condition:text:)``.
    public func serverInfo() async throws -> ServerInfo {
        try await waiting { [account] in ServerInfo(try await account.serverInfo()) }
    }

    /// Who has access to the account: our own sessions and others (XEP-0494).
    ///
    /// Throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut``, and ``WhimbrelError/serverRefused(condition:text:)`` where the
    /// server does not tell.
    public func clients() async throws -> [ClientAccess] {
        try await waiting { [account] in try await account.clients().map(ClientAccess.init) }
    }

    /// Takes somebody's access away, by its id. Throws as ``clients()``, and ``WhimbrelError/serverRefused(condition:text:)``
    /// (`password-reset-required`) where only another password keeps it out.
    public func revokeClient(_ id: String) async throws {
        try await waiting { [account] in try await account.revokeClient(id: id) }
    }

    /// Writes all that the account has to a file that this device, another one, or other software can take back (XEP-0227). Never
    /// passwords, tokens or keys; but it is not encrypted. A process that is killed meanwhile leaves its beginning, under this name
    /// with `.new` behind it.
    ///
    /// Throws ``WhimbrelError/storageFull``, ``WhimbrelError/databaseUnusable(why:)`` where it cannot be written, and
    /// ``WhimbrelError/suspended``, also where the account is suspended meanwhile.
    ///
    /// - Returns: How many messages it holds.
    @discardableResult
    public func export(to file: URL) async throws -> Int {
        try await waiting { [account] in Int(clamping: try await account.exportTo(path: file.path)) }
    }

    /// Takes what ``export(to:)`` has written on this or another device, or another server or app in the form of XEP-0227. What is here
    /// already is not taken twice, so it can be repeated.
    ///
    /// Throws ``WhimbrelError/notFound`` where there is no such file, and ``WhimbrelError/invalidInput(what:)`` where it is of other
    /// accounts, or damaged: then it says where, and how much was taken before.
    @discardableResult
    public func `import`(from file: URL) async throws -> Imported {
        try await waiting { [account] in Imported(try await account.importFrom(path: file.path)) }
    }

    /// What the account takes on the disk.
    public func diskUse() async throws -> DiskUse {
        try await waiting { [account] in DiskUse(try await account.diskUse()) }
    }

    /// Adds who has invited us by a link (XEP-0379): they are asked with the link's token, so that they accept without being asked
    /// about, and are accepted when they ask in turn, within a month.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where it can be no token.
    public func addInviter(_ address: String, token: String, name: String? = nil) async throws {
        try await waiting { [account] in try await account.addInviter(jid: address, name: name, token: token) }
    }

    /// A link by which somebody becomes a contact without our being asked: whoever opens it first. Our server makes it where it knows
    /// how (XEP-0401); else it is our own (XEP-0379), suggests `name`, counts for `validFor`, and is accepted by this device.
    public func invite(name: String? = nil, validFor: Duration) async throws -> Invitation {
        try await waiting { [account] in
            Invitation(try await account.invite(name: name, validFor: validFor.seconds))
        }
    }

    /// A link by which somebody may register on our server, under this name or any (XEP-0401 §5.4).
    ///
    /// Throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut``, and ``WhimbrelError/serverRefused(condition:text:)`` where we may
    /// not, or the server does not know how.
    public func inviteToServer(username: String? = nil) async throws -> Invitation {
        try await waiting { [account] in Invitation(try await account.inviteToServer(username: username)) }
    }
}

extension Client {
    /// A text for a developer: versions, states and counts of all accounts, and the last lines of the log, if ``keepLog()`` or
    /// ``log(to:upTo:)`` was called. It has no content, no keys and no addresses.
    public func logBundle() async throws -> String {
        try await waiting { [client] in try await client.logBundle() }
    }

    /// Keeps the last lines that the library says for a log, for ``logBundle()``. ``log(to:upTo:)`` does that as well.
    public static func keepLog() throws {
        try immediately { try WhimbrelFFI.keepLog() }
    }
}

/// What our server says of itself.
public struct ServerInfo: Sendable, Equatable {
    /// When it said so.
    public let at: Date
    /// What it calls itself.
    public let name: String?
    /// By which software it runs (XEP-0092).
    public let software: String?
    /// Of which version.
    public let version: String?
    /// Whom to turn to (XEP-0157).
    public let contacts: [ContactAddress]
    /// Where it is told, by https, whether the service is out (XEP-0455): files in JSON that are of use while the server cannot be
    /// reached. Fetching one tells who keeps it that its user asks, so that is for the app to do.
    public let outages: [String]

    /// Whom to turn to.
    public struct ContactAddress: Sendable, Equatable {
        /// For what: `abuse`, `admin`, `feedback`, `sales`, `security`, `status`, `support`.
        public let kind: String
        /// `mailto:`, `xmpp:` or `https:`; nobody has looked at it.
        public let uri: String
    }

    init(_ info: WhimbrelFFI.ServerInfo) {
        at = Date(milliseconds: info.at)
        name = info.name
        software = info.software
        version = info.version
        contacts = info.contacts.map { ContactAddress(kind: $0.kind, uri: $0.uri) }
        outages = info.outages
    }
}

/// Who has access to the account (XEP-0494).
public struct ClientAccess: Sendable, Equatable, Identifiable {
    /// For ``Account/revokeClient(_:)``.
    public let id: String
    /// Online, or soon back.
    public let isConnected: Bool
    /// It has logged in; otherwise it was only allowed to.
    public let hasSession: Bool
    /// When it was there first.
    public let firstSeen: Date?
    /// When it was there last.
    public let lastSeen: Date?
    /// Its software, as it says.
    public let software: String?
    /// The software's home page.
    public let uri: String?
    /// What its user calls the device.
    public let device: String?
    /// It knows the password: only another password keeps it out.
    public let byPassword: Bool
    /// It has a token (XEP-0484).
    public let byToken: Bool
    /// It was granted access otherwise.
    public let byGrant: Bool
    /// What it may do.
    public let permission: Permission

    /// What somebody who has access may do.
    public enum Permission: Sendable, Equatable {
        /// Everything.
        case unrestricted
        /// All but what others' access depends on.
        case normal
        /// Less.
        case restricted
    }

    init(_ client: WhimbrelFFI.ClientAccess) {
        id = client.id
        isConnected = client.connected
        hasSession = client.hasSession
        firstSeen = client.firstSeen.map(Date.init(milliseconds:))
        lastSeen = client.lastSeen.map(Date.init(milliseconds:))
        software = client.software
        uri = client.uri
        device = client.device
        byPassword = client.byPassword
        byToken = client.byToken
        byGrant = client.byGrant
        permission =
            switch client.permission {
            case .unrestricted: .unrestricted
            case .normal: .normal
            case .restricted: .restricted
            }
    }
}

/// What an account takes on the disk, in bytes.
public struct DiskUse: Sendable, Equatable {
    /// All of its files: its database with the journals, and what ``Client/startOver(_:)`` has set aside.
    public let total: Int
    /// Of these, what was set aside.
    public let setAside: Int
    /// Of the database, the index of words.
    public let index: Int
    /// Of the database, pictures of people. They are bounded, and can be had again.
    public let pictures: Int

    init(_ used: WhimbrelFFI.DiskUse) {
        total = Int(clamping: used.total)
        setAside = Int(clamping: used.setAside)
        index = Int(clamping: used.index)
        pictures = Int(clamping: used.pictures)
    }
}

/// What came of a file, in messages.
public struct Imported: Sendable, Equatable {
    /// They are new here.
    public let added: Int
    /// They were here, or are nobody's.
    public let known: Int
    /// Elements that are not understood here.
    public let skipped: Int

    init(_ imported: WhimbrelFFI.Imported) {
        added = Int(clamping: imported.added)
        known = Int(clamping: imported.known)
        skipped = Int(clamping: imported.skipped)
    }
}

/// A link to be given to somebody: whoever has it first is let in.
public struct Invitation: Sendable, Equatable {
    /// An `xmpp:` link: see ``XMPPLink``.
    public let uri: String
    /// The same for people without an app, by https.
    public let landingPage: String?
    /// Until when it counts; nothing: nobody says.
    public let expires: Date?
    /// One may register on our server with it.
    public let registers: Bool

    init(_ invitation: WhimbrelFFI.Invitation) {
        uri = invitation.uri
        landingPage = invitation.landingPage
        expires = invitation.expires.map(Date.init(milliseconds:))
        registers = invitation.registers
    }
}
