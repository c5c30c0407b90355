import Foundation
import Testing
import WhimbrelFFI

/// The boundary, against a real server: `cargo xtask bindings swift` starts one and says where it is.
@Suite struct ConversationTests {
    @Test("a message is queued while offline, sent when online, and answered", .timeLimit(.minutes(1)))
    func conversation() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let vault = MemoryVault()
        let alices = try await Client.open(directory: "\(directory)/alice", vault: vault, options: Options())
        let bobs = try await Client.open(
            directory: "\(directory)/bob", vault: fileVault(directory: "\(directory)/bob/keys"), options: Options())
        let alice = try await alices.addAccount(jid: "alice@a.test", connection: connection())
        let bob = try await bobs.addAccount(jid: "bob@a.test", connection: connection())
        #expect(vault.secrets == 1, "the core has put its secret into our vault")

        await #expect(throws: WhimbrelError.WrongPassword) { try await alice.signIn(password: "not-hers") }
        try await alice.signIn(password: "secret-a")
        try await bob.signIn(password: "secret-b")

        var withBob = try await Following(alice.timeline(with: "bob@a.test", limit: 50))
        var withAlice = try await Following(bob.timeline(with: "alice@a.test", limit: 50))
        _ = try await withBob.until { $0.isEmpty }

        // Offline first: pulled updates merge, so online the state Queued might have passed before we looked.
        try await alice.disconnect()
        let id = try await alice.send(id: UUID().uuidString, to: "bob@a.test", text: "But soft, what light?")
        #expect(try await withBob.until { $0.count == 1 }[0].state == .queued)
        try await alice.connect()
        let sent = try await withBob.until { $0[0].state != .queued }[0]
        #expect(sent.id == id)
        #expect(sent.mine)
        #expect(sent.state == .sent || sent.state == .delivered)

        let received = try await withAlice.until { !$0.isEmpty }[0]
        #expect(received.text == "But soft, what light?")
        #expect(received.from.hasPrefix("alice@a.test/"))
        _ = try await bob.send(id: UUID().uuidString, to: "alice@a.test", text: "Ay me!")
        let answer = try await withBob.until { $0.count == 2 }[1]
        #expect(answer.text == "Ay me!")
        #expect(answer.state == nil)

        try await alices.shutDown()
        try await bobs.shutDown()
        await #expect(throws: WhimbrelError.Closed) {
            try await alice.send(id: UUID().uuidString, to: "bob@a.test", text: "?")
        }
    }

    @Test("a panic arrives as a bug")
    func panic() async throws {
        #expect { try panicSync() } throws: { isBug($0, "on purpose at ") }
        await #expect { try await panicAsync() } throws: { isBug($0, "on purpose, later at ") }
    }
}

private func isBug(_ error: any Error, _ report: String) -> Bool {
    if case .Bug(let told) = error as? WhimbrelError { told.hasPrefix(report) } else { false }
}

/// A vault of the app's own: what is thrown or kept here crosses the boundary the other way.
private final class MemoryVault: KeyVault, @unchecked Sendable {
    private let lock = NSLock()
    private var entries: [String: Data] = [:]

    var secrets: Int { lock.withLock { entries.keys.filter { $0.hasPrefix("database-") }.count } }

    func load(name: String) throws -> Data? { lock.withLock { entries[name] } }

    func store(name: String, bytes: Data, scope: Scope) throws { lock.withLock { entries[name] = bytes } }

    func delete(name: String) throws { _ = lock.withLock { entries.removeValue(forKey: name) } }
}

/// Folds updates, as a list on a screen would.
private struct Following {
    private let updates: Subscription
    private var items: [Item] = []
    private var seq: UInt64 = 0

    init(_ timeline: Timeline) throws {
        updates = try timeline.subscribe()
    }

    /// Pulls until the messages are so.
    mutating func until(_ so: ([Message]) -> Bool) async throws -> [Message] {
        while true {
            let messages = items.compactMap { if case .message(let message) = $0 { message } else { nil } }
            if seq > 0, so(messages) { return messages }
            let update = try await updates.next(after: seq)
            seq = update.seq
            for splice in update.splices {
                let at = Int(splice.at)
                items.replaceSubrange(at..<(at + Int(splice.removed)), with: splice.items)
            }
        }
    }
}

private func connection() throws -> Connection {
    Connection(
        server: Server(host: "127.0.0.1", port: try #require(UInt16(variable("PORT")))),
        certificates: try String(contentsOfFile: variable("CA"), encoding: .utf8))
}

private func variable(_ name: String) throws -> String {
    let value = ProcessInfo.processInfo.environment["WHIMBREL_\(name)"]
    return try #require(value, "WHIMBREL_\(name) is not set: use cargo xtask bindings swift")
}
