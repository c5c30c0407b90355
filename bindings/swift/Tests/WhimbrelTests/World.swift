import Foundation
import Testing
import Whimbrel
import func WhimbrelFFI.heldObjects

/// All tests, one after the other: they share a server, a link and the count of held objects.
///
/// `cargo xtask bindings swift` starts the server and says where it is.
@Suite(.serialized) struct OverARealServer {}

/// What one test has to itself: accounts, directories, clients.
final class World: @unchecked Sendable {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("whimbrel-\(UUID().uuidString)")
    private let lock = NSLock()
    private var clients: [Client] = []

    /// Plays a test, closes what it has opened, and waits until the library holds nothing for us any more.
    static func play(_ test: (World) async throws -> Void) async throws {
        // As a test that failed may have left the link.
        for line in ["flow", "accept"] { try await door(line) }
        let world = World()
        defer { try? FileManager.default.removeItem(at: world.directory) }
        do {
            try await test(world)
        } catch {
            // What is open would else be in the way of all others.
            try? await world.close()
            throw error
        }
        try await world.close()
        try await until { try heldObjects() == 0 }
    }

    private func close() async throws {
        let clients = lock.withLock {
            defer { self.clients = [] }
            return self.clients
        }
        for client in clients {
            // A test's task that was cancelled, by its time limit, closes all the same.
            try await Task.detached { try await client.close() }.value
        }
    }

    /// A fresh account on the server: its address.
    func account(_ name: String) async throws -> String {
        let name = "\(name)-\(UUID().uuidString.prefix(8).lowercased())"
        try await door("account \(name)")
        return "\(name)@a.test"
    }

    /// A client on the directory of this name.
    func client(
        _ device: String, vault: (any KeyVault)? = nil, options: Options = Options(), resolver: (any Resolver)? = nil
    ) async throws -> Client {
        let vault = try vault ?? FileVault(directory: path(device).appendingPathComponent("keys"))
        let client = try await Client.open(
            directory: path(device), vault: vault, options: options, resolver: resolver)
        lock.withLock { clients.append(client) }
        return client
    }

    /// Closes it before the test ends.
    func close(_ client: Client) async throws {
        lock.withLock { clients.removeAll { $0 === client } }
        try await client.close()
    }

    func path(_ device: String) -> URL {
        directory.appendingPathComponent(device)
    }

    /// A new account of this name, signed in on a device of its own.
    func signedIn(_ name: String, over connection: Connection? = nil) async throws -> (client: Client, account: Account) {
        let address = try await account(name)
        let client = try await client(address)
        let account = try await client.addAccount(address, connection: connection ?? straight())
        try await account.signIn(password: "secret")
        return (client, account)
    }

    /// Another device of an account, which has caught up.
    func device(_ name: String, of account: Account) async throws -> Account {
        let device = try await client(name).addAccount(account.address, connection: straight())
        try await device.signIn(password: "secret")
        try await device.sync(timeout: .seconds(30))
        return device
    }

    /// Both see the other's presence, and so tell what was delivered and displayed.
    func befriend(_ one: Account, _ other: Account) async throws {
        try await one.addContact(other.address)
        _ = try await other.contacts.items.first { $0.contains { $0.address == one.address && $0.asks } }
        try await other.acceptContact(one.address)
        try await other.addContact(one.address)
        _ = try await one.contacts.items.first { $0.contains { $0.address == other.address && $0.asks } }
        try await one.acceptContact(other.address)
        for (account, contact) in [(one, other), (other, one)] {
            _ = try await account.contacts.items.first {
                $0.contains { $0.address == contact.address && $0.subscription == .both && $0.isAvailable }
            }
        }
    }
}

/// Straight to the server.
func straight() throws -> Connection {
    Connection(server: Server(host: "127.0.0.1", port: try port("PORT")), certificates: try certificates())
}

/// Over the link that the door can cut.
func linked() throws -> Connection {
    Connection(
        server: Server(host: "127.0.0.1", port: try port("LINK"), usesDirectTLS: true), certificates: try certificates())
}

func certificates() throws -> String {
    try String(contentsOfFile: variable("CA"), encoding: .utf8)
}

func port(_ name: String) throws -> UInt16 {
    try #require(UInt16(variable(name)))
}

func variable(_ name: String) throws -> String {
    let value = ProcessInfo.processInfo.environment["WHIMBREL_\(name)"]
    return try #require(value, "WHIMBREL_\(name) is not set: use cargo xtask bindings swift")
}

/// Asks the stage for something, and waits until it was done.
func door(_ line: String) async throws {
    let port = try port("DOOR")
    let answer = await off { ask(line, port) }
    try #require(answer == "ok", "\(line): \(answer)")
}

private func ask(_ line: String, _ port: UInt16) -> String {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let connected = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard connected == 0 else { return "the door is closed" }
    let asked = "\(line)\n"
    guard write(socket, asked, asked.utf8.count) == asked.utf8.count else { return "the door is stuck" }
    return readLine(from: socket) ?? "no answer"
}

/// Reads until the line's end.
func readLine(from descriptor: Int32) -> String? {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while read(descriptor, &byte, 1) == 1 {
        if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
        line.append(byte)
    }
    return nil
}

/// Runs what blocks on a thread of its own.
func off<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: work()) }
    }
}

/// For what nobody tells: looks again and again.
func until(_ so: () throws -> Bool) async throws {
    while try !so() { try await Task.sleep(for: .milliseconds(5)) }
}

func isInvalid(_ error: any Error) -> Bool {
    if case .invalidInput = error as? WhimbrelError { true } else { false }
}

/// By the server, or whoever else was asked, and with this condition, if one is given.
func isRefused(_ error: any Error, _ condition: String? = nil) -> Bool {
    if case .serverRefused(let said, _) = error as? WhimbrelError { condition == nil || said == condition } else { false }
}

extension Timeline {
    /// The messages, as soon as they are so.
    func messages(_ so: ([Message]) -> Bool) async throws -> [Message] {
        for try await items in items {
            let messages = items.messages
            if so(messages) { return messages }
        }
        throw WhimbrelError.closed
    }
}

extension [TimelineItem] {
    var messages: [Message] {
        compactMap { if case .message(let message) = $0 { message } else { nil } }
    }
}

extension Account {
    /// Waits until the status is so.
    func becomes(_ so: (Status) -> Bool) async throws -> Status {
        for try await status in statuses where so(status) { return status }
        throw WhimbrelError.closed
    }

    /// Waits until online and complete.
    func online() async throws {
        _ = try await becomes { $0 == .online }
    }

    /// A line of the conversation list, as soon as it is so.
    func line(_ with: String, _ so: (Conversation) -> Bool) async throws -> Conversation {
        for try await lines in conversations.items {
            if let line = lines.first(where: { $0.with == with && so($0) }) { return line }
        }
        throw WhimbrelError.closed
    }
}

extension Events.AsyncIterator {
    /// Waits for the first event that has what is looked for.
    mutating func first<Value>(_ found: (Event) -> Value?) async throws -> Value {
        while let event = try await next() {
            if let value = found(event) { return value }
        }
        throw WhimbrelError.closed
    }
}

/// A process of `SecondProcess`, which ends with us.
final class SecondProcess: @unchecked Sendable {
    private let process = Process()
    private let output = Pipe()
    private let input = Pipe()

    init(_ arguments: [String]) throws {
        // Beside the program that runs the tests.
        let here = URL(fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        process.executableURL = here.deletingLastPathComponent().appendingPathComponent("SecondProcess")
        process.arguments = arguments
        process.standardOutput = output
        process.standardInput = input
        try process.run()
    }

    /// What it says next, or nothing when it has ended.
    func line() async -> String? {
        await orKilled { [self] in readLine(from: output.fileHandleForReading.fileDescriptor) }
    }

    /// As the system ends an app.
    func killed() async {
        kill(process.processIdentifier, SIGKILL)
        await ended()
    }

    func ended() async {
        await orKilled { [self] in process.waitUntilExit() }
    }

    /// A test whose time is over waits no longer.
    private func orKilled<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withTaskCancellationHandler { await off(work) } onCancel: { kill(process.processIdentifier, SIGKILL) }
    }
}

/// A vault of the app's own: what is thrown or kept here crosses the boundary the other way.
final class MemoryVault: KeyVault, @unchecked Sendable {
    private let lock = NSLock()
    private var entries: [String: Data] = [:]
    private var failure: (any Error)?

    var names: [String] { lock.withLock { Array(entries.keys) } }

    func fail(with error: (any Error)?) {
        lock.withLock { failure = error }
    }

    func forget() {
        lock.withLock { entries = [:] }
    }

    func load(_ name: String) throws -> Data? {
        try lock.withLock {
            if let failure { throw failure }
            return entries[name]
        }
    }

    func store(_ bytes: Data, as name: String, scope: KeyScope) throws {
        try lock.withLock {
            if let failure { throw failure }
            entries[name] = bytes
        }
    }

    func delete(_ name: String) throws {
        try lock.withLock {
            if let failure { throw failure }
            entries[name] = nil
        }
    }
}
