import Foundation
internal import WhimbrelFFI

/// All accounts of one data directory. Made once, by ``open(directory:vault:options:resolver:)``, and kept for as long as the process
/// lives.
public final class Client: Sendable {
    let client: WhimbrelFFI.Client

    private init(_ client: WhimbrelFFI.Client) {
        self.client = client
    }

    /// Opens a data directory, made if it is not there, and the accounts in it. None of them connects by itself.
    ///
    /// An account that cannot be opened is there all the same, and its calls say why: ``WhimbrelError/keyLost``,
    /// ``WhimbrelError/locked``, ``WhimbrelError/databaseUnusable(why:)``, and ``WhimbrelError/inUse`` where this is an extension
    /// and the app is in charge.
    ///
    /// Throws ``WhimbrelError/storageFull`` or ``WhimbrelError/databaseUnusable(why:)`` where the directory itself cannot be used, and
    /// ``WhimbrelError/locked`` where the device was not unlocked since its start and nothing in it can be read yet.
    ///
    /// - Parameters:
    ///   - directory: On iOS in the container of an app group, where an extension opens it as well. No backup takes it along without
    ///     the vault.
    ///   - vault: Where the keys of the databases are kept.
    ///   - resolver: Looks up servers by the platform's own means. Without one, the servers for names are asked that
    ///     ``networkChanged(_:)`` told, or the system's own.
    public static func open(
        directory: URL, vault: any KeyVault, options: Options = Options(), resolver: (any Resolver)? = nil
    ) async throws -> Client {
        try await waiting {
            let client = try await WhimbrelFFI.Client.open(
                directory: directory.path, vault: BridgedVault(vault), options: options.generated,
                resolver: resolver.map(BridgedResolver.init))
            return Client(client)
        }
    }

    /// Hands what the library says for a log to this sink, up to this level, in place of the one before it. There is one for the
    /// process.
    public static func log(to sink: any LogSink, upTo level: LogLevel = .info) throws {
        try immediately { try logTo(sink: BridgedLog(sink), most: level.generated) }
    }

    /// All accounts, by address.
    public var accounts: [Account] {
        get throws {
            try immediately { try client.addresses().compactMap { try client.account(jid: $0).map(Account.init) } }
        }
    }

    /// One of the accounts, or nothing.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` for what is no address.
    public func account(_ address: String) throws -> Account? {
        try immediately { try client.account(jid: address).map(Account.init) }
    }

    /// Looks for messages in all accounts, the newest first, up to `limit` of them, 1 to 500; fewer are the last. An account that cannot
    /// be read has no hits.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where an address in it is none.
    ///
    /// - Parameter before: The last of the page before this one.
    public func search(_ search: Search, before: FoundIn? = nil, limit: Int = 50) async throws -> [FoundIn] {
        try await waiting { [client] in
            try await client.search(
                search: search.generated, before: before?.place, limit: UInt32(clamping: limit)
            ).map(FoundIn.init)
        }
    }

    /// Adds an account, or changes how an existing one connects. It does not connect yet: see ``Account/signIn(password:)``.
    ///
    /// Throws ``WhimbrelError/keyLost`` where there is a file and no secret for it, ``WhimbrelError/locked``,
    /// ``WhimbrelError/storageFull``, ``WhimbrelError/databaseUnusable(why:)``, and ``WhimbrelError/invalidInput(what:)`` for what
    /// is not an account's address.
    @discardableResult
    public func addAccount(_ address: String, connection: Connection = Connection()) async throws -> Account {
        try await waiting { [client] in
            try Account(await client.addAccount(jid: address, connection: connection.generated))
        }
    }

    /// Signs out and deletes everything of this account from the device. Unsent messages are lost.
    ///
    /// Throws ``WhimbrelError/notFound``, and ``WhimbrelError/databaseUnusable(why:)`` where files cannot be deleted; then it can be
    /// called again. When the task is cancelled it goes on to its end.
    public func removeAccount(_ address: String) async throws {
        try await waiting { [client] in try await client.removeAccount(jid: address) }
    }

    /// After ``WhimbrelError/keyLost`` or a damaged file: sets the file aside (it is never deleted) and begins anew with an empty
    /// one. Then ``Account/signIn(password:)``. How it connects was in the file: a ``Connection`` other than the default is to be given
    /// again, with ``addAccount(_:connection:)``.
    ///
    /// The old object, and what follows it, throws ``WhimbrelError/closed``. Throws ``WhimbrelError/notFound``, and as
    /// ``addAccount(_:connection:)``.
    @discardableResult
    public func startOver(_ address: String) async throws -> Account {
        try await waiting { [client] in try Account(await client.startOver(jid: address)) }
    }

    /// Stops all accounts and closes every file, within this time as far as the peers allow. Sessions stay on their servers.
    ///
    /// Calls throw ``WhimbrelError/suspended`` until ``resume()``. Doing it twice is harmless.
    public func suspend(within time: Duration) async throws {
        try await waiting { [client] in try await client.suspend(within: time.seconds) }
    }

    /// Opens the files again and connects the accounts that were connected.
    ///
    /// Throws the first account's reason where one cannot be opened; the others go on.
    public func resume() async throws {
        try await waiting { [client] in try await client.resume() }
    }

    /// A push has come for this account. It does not say by itself for which: each account gives its app server a node of its own
    /// (``Account/setPush(_:)``), and that hands it on. Opens it if it is suspended or the process has just begun, resumes its session or
    /// connects, and catches up as far as the time allows. Says what to show, and leaves the account suspended, unless it was
    /// running or the app has resumed or connected it meanwhile. One that the app has disconnected stays offline. What is told
    /// once is not told again.
    ///
    /// Works while the client is suspended. No connection, or no answer in time, is no error, but not ``WakeUp/isComplete``.
    ///
    /// Throws ``WhimbrelError/notFound``; ``WhimbrelError/inUse`` where this is an extension and the app is in charge, which does it
    /// itself; ``WhimbrelError/keyLost``, ``WhimbrelError/locked``, ``WhimbrelError/storageFull`` or
    /// ``WhimbrelError/databaseUnusable(why:)``; ``WhimbrelError/suspended`` where the app suspends it meanwhile: the next push
    /// tells what this one did not. When the task is cancelled the account is suspended as well, and the next push
    /// tells.
    public func wakeUp(_ address: String, within time: Duration) async throws -> WakeUp {
        let ending = Ending()
        return try await waiting(endedBy: { try? ending.end() }) { [client] in
            WakeUp(try await client.wakeUp(jid: address, within: time.seconds, ending: ending))
        }
    }

    /// The platform says that the network changed, came back, or is gone. To be called whenever it does, and once after the start.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where a server for names is not given by its address.
    public func networkChanged(_ network: Network) throws {
        try immediately { try client.networkChanged(network: network.generated) }
    }

    /// The device was asleep, or the process frozen, and goes on: links that died meanwhile are found out soon. What shows by the
    /// clocks is noticed without this.
    public func woke() throws {
        try immediately(client.woke)
    }

    /// The app is in front of its user, or no longer (XEP-0352). It is until told otherwise: a process for a push says `false` first.
    public func setForeground(_ foreground: Bool) throws {
        try immediately { try client.setForeground(foreground: foreground) }
    }

    /// The system wants memory back (`didReceiveMemoryWarning`): what can be had again from the files is let go of.
    public func lowMemory() throws {
        try immediately(client.lowMemory)
    }

    /// Like ``suspend(within:)``, for good: calls throw ``WhimbrelError/closed``, and so does what follows a list.
    public func close() async throws {
        try await waiting { [client] in try await client.shutDown() }
    }
}
