import Foundation
import Testing
import Whimbrel
import func WhimbrelFFI.heldObjects

extension OverARealServer {
    @Test("suspend with no file open, and resume", .timeLimit(.minutes(3)))
    func suspend() async throws {
        try await World.play { world in
            let (client, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await alice.send("before", to: bob.address)
            let data = world.path(alice.address).path
            #expect(!openFiles(under: data).isEmpty)
            for _ in 0..<2 {
                try await client.suspend(within: .seconds(10))
                #expect(openFiles(under: data) == [])
            }
            await #expect(throws: WhimbrelError.suspended) { try await alice.send("meanwhile", to: bob.address) }
            await #expect(throws: WhimbrelError.suspended) { _ = try await alice.timeline(with: bob.address, limit: 50) }

            try await client.resume()
            try await alice.send("after", to: bob.address)
            let received = try await bob.timeline(with: alice.address, limit: 50).messages { $0.count == 2 }
            #expect(received.map(\.text) == ["before", "after"])
        }
    }

    @Test("wake up with something to withdraw", .timeLimit(.minutes(2)))
    func wakeUp() async throws {
        try await World.play { world in
            let (phone, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await world.befriend(alice, bob)
            try await alice.sync(timeout: .seconds(30))
            try await phone.suspend(within: .seconds(10))

            try await bob.send("Good night, good night!", to: alice.address)
            try await bob.sync(timeout: .seconds(30))
            let first = try await phone.wakeUp(alice.address, within: .seconds(30))
            #expect(first.notify.map(\.text) == ["Good night, good night!"])
            #expect(first.withdraw == [])
            #expect(first.unread == 1)
            #expect(first.isComplete)
            await #expect(throws: WhimbrelError.suspended) { try await alice.markRead(bob.address) }

            let tablet = try await world.client("tablet").addAccount(alice.address, connection: straight())
            try await tablet.signIn(password: "secret")
            _ = try await tablet.timeline(with: bob.address, limit: 50).messages { $0.count == 1 }
            _ = try await tablet.contacts.items.first { $0.first?.subscription == .both }
            try await tablet.markRead(bob.address)
            try await tablet.sync(timeout: .seconds(30))

            let second = try await phone.wakeUp(alice.address, within: .seconds(30))
            #expect(second.notify == [])
            #expect(second.withdraw == first.notify.map(\.id))
            #expect(second.unread == 0)
            #expect(second.isComplete)
            await #expect(throws: WhimbrelError.suspended) { try await alice.markRead(bob.address) }
            #expect(openFiles(under: world.path(alice.address).path) == [])
        }
    }

    @Test("wake up against a stalled server", .timeLimit(.minutes(2)))
    func wakeUpStalled() async throws {
        try await World.play { world in
            let (client, alice) = try await world.signedIn("alice", over: linked())
            let (_, bob) = try await world.signedIn("bob")
            try await alice.sync(timeout: .seconds(30))
            try await client.suspend(within: .seconds(10))
            try await bob.send("Parting is such sweet sorrow", to: alice.address)
            try await bob.sync(timeout: .seconds(30))

            try await door("stall")
            let stalled = await Task { try await client.wakeUp(alice.address, within: .seconds(2)) }.result
            let suspended = await Task { try await alice.markRead(bob.address) }.result
            try await door("flow")
            try await door("cut")
            #expect(try stalled.get().isComplete == false)
            #expect(try stalled.get().notify == [])
            #expect(throws: WhimbrelError.suspended) { try suspended.get() }

            let woken = try await client.wakeUp(alice.address, within: .seconds(30))
            #expect(woken.notify.map(\.text) == ["Parting is such sweet sorrow"])
            #expect(woken.isComplete)
        }
    }

    @Test("a wake-up that is broken off loses nothing", .timeLimit(.minutes(2)))
    func wakeUpBrokenOff() async throws {
        try await World.play { world in
            let (client, alice) = try await world.signedIn("alice", over: linked())
            let (_, bob) = try await world.signedIn("bob")
            try await alice.sync(timeout: .seconds(30))
            try await client.suspend(within: .seconds(10))
            try await bob.send("Parting is such sweet sorrow", to: alice.address)
            try await bob.sync(timeout: .seconds(30))

            let data = world.path(alice.address).path
            try await door("stall")
            let waking = Task { try await client.wakeUp(alice.address, within: .seconds(1000)) }
            try await until { !openFiles(under: data).isEmpty }
            waking.cancel()
            await #expect(throws: CancellationError.self) { try await waking.value }
            try await until { openFiles(under: data).isEmpty }
            try await door("flow")
            try await door("cut")

            let woken = try await client.wakeUp(alice.address, within: .seconds(30))
            #expect(woken.notify.map(\.text) == ["Parting is such sweet sorrow"])
        }
    }

    @Test("a removal that nobody waits for comes to its end", .timeLimit(.minutes(2)))
    func removalAlone() async throws {
        try await World.play { world in
            let (client, alice) = try await world.signedIn("alice", over: linked())
            try await alice.sync(timeout: .seconds(30))
            let address = alice.address
            try await door("stall")
            let removing = Task { try await client.removeAccount(address) }
            // It is under way: the server is to be told first, and says nothing.
            try await until {
                if case .catchingUp = alice.status { false } else { alice.status != .online }
            }
            removing.cancel()
            await #expect(throws: CancellationError.self) { try await removing.value }
            try await until { try client.account(address) == nil }
            try await door("flow")
            try await door("cut")
            let left = FileManager.default.enumerator(at: world.path(address), includingPropertiesForKeys: nil)
            let files = left?.compactMap { $0 as? URL }.filter { !$0.hasDirectoryPath }
            #expect(files?.map(\.lastPathComponent) == [])
        }
    }

    @Test("kill the process and start again, the stream resumes", .timeLimit(.minutes(2)))
    func killed() async throws {
        try await World.play { world in
            let address = try await world.account("alice")
            let (_, bob) = try await world.signedIn("bob")
            let directory = world.path("killed").path
            let id = UUID().uuidString.lowercased()
            let first = try SecondProcess([
                "sign-in", directory, address, variable("PORT"), variable("CA"), bob.address, "Farewell!", id,
            ])
            #expect(await first.line() == "sent")
            await first.killed()

            let second = try SecondProcess(["again", directory, address, bob.address])
            #expect(await second.line() == "online resumed true after start true")
            #expect(await second.line() == "\(id) Farewell!")
            #expect(await second.line() == "end")
            await second.ended()
            let received = try await bob.timeline(with: address, limit: 50).messages { !$0.isEmpty }
            #expect(received.map(\.text) == ["Farewell!"])
        }
    }

    @Test("two processes on one account", .timeLimit(.minutes(2)))
    func twoProcesses() async throws {
        try await World.play { world in
            let (app, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await alice.sync(timeout: .seconds(30))
            let directory = world.path(alice.address).path

            let early = try SecondProcess(["wake-up", directory, alice.address])
            #expect(await early.line() == "error inUse")
            #expect(await early.line() == "end")
            await early.ended()
            #expect(alice.status == .online)

            try await app.suspend(within: .seconds(10))
            try await bob.send("Wherefore art thou?", to: alice.address)
            try await bob.sync(timeout: .seconds(30))
            let late = try SecondProcess(["wake-up", directory, alice.address])
            #expect(await late.line() == "notify Wherefore art thou? complete true")
            #expect(await late.line() == "end")
            await late.ended()

            try await app.resume()
            let shown = try await alice.timeline(with: bob.address, limit: 50).messages { !$0.isEmpty }
            #expect(shown.map(\.text) == ["Wherefore art thou?"])
            try await alice.send("Here", to: bob.address)
            _ = try await bob.timeline(with: alice.address, limit: 50).messages { $0.last?.text == "Here" }
        }
    }

    @Test("cancel everything half-way", .timeLimit(.minutes(2)))
    func cancelEverything() async throws {
        try await World.play { world in
            let (_, bob) = try await world.signedIn("bob")
            let (address, carol) = (try await world.account("alice"), try await world.account("carol"))
            // More than a first sign-in fetches: what is older has to be asked for.
            try await door("say \(carol.prefix { $0 != "@" }) \(address) 300")
            let client = try await world.client("phone")
            let alice = try await client.addAccount(address, connection: linked())
            try await alice.signIn(password: "secret")
            try await alice.sync(timeout: .seconds(30))
            let timeline = try await alice.timeline(with: bob.address, limit: 50)
            let withCarol = try await alice.timeline(with: carol, limit: 50)
            let spare = try await world.account("spare")

            // Whatever has to be answered waits now.
            let held = try heldObjects()
            try await door("stall")
            let begun = Begun()
            let waits: [@Sendable () async throws -> Void] = [
                { for try await _ in timeline.items { begun.note(0) } },
                { for try await _ in timeline.updates { begun.note(1) } },
                { for try await _ in alice.conversations.items { begun.note(2) } },
                { for try await _ in alice.contacts.updates { begun.note(3) } },
                { for try await _ in alice.statuses { begun.note(4) } },
                {
                    var events = alice.events.makeAsyncIterator()
                    begun.note(5)
                    while try await events.next() != nil {}
                },
                {
                    begun.note(6)
                    while try await withCarol.older(limit: 50) {}
                },
                {
                    let other = try await client.addAccount(spare, connection: linked())
                    begun.note(7)
                    try await other.signIn(password: "secret")
                },
                {
                    try await alice.send("half-way", to: bob.address)
                    begun.note(8)
                    try await alice.sync(timeout: .seconds(300))
                },
            ]
            let tasks = waits.map { wait in Task { try await wait() } }
            try await until { begun.count == waits.count }
            tasks.forEach { $0.cancel() }
            for task in tasks {
                await #expect(throws: CancellationError.self) { try await task.value }
            }
            // The loops are let go of, though nothing happens that they wait for.
            try await until { try heldObjects() <= held }
            // Nor is anything begun for a task that is cancelled already.
            let late = Task {
                while !Task.isCancelled { await Task.yield() }
                try await alice.send("never", to: bob.address)
            }
            late.cancel()
            await #expect(throws: CancellationError.self) { try await late.value }
            try await door("flow")
            try await door("cut")

            let received = try await bob.timeline(with: alice.address, limit: 50)
            _ = try await received.messages { $0.map(\.text) == ["half-way"] }
            try await alice.send("after", to: bob.address)
            while try await withCarol.older(limit: 50) {}
            #expect(try await withCarol.messages { $0.count == 300 }.map(\.text) == (1...300).map { "\($0)" })
            #expect(try await received.messages { $0.count == 2 }.map(\.text) == ["half-way", "after"])
            #expect(try await timeline.messages { $0.count == 2 }.map(\.text) == ["half-way", "after"])
        }
    }

    @Test("ten thousand messages while the listener sleeps", .timeLimit(.minutes(10)))
    func tenThousand() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let bob = try await world.account("bob")
            let timeline = try await alice.timeline(with: bob, limit: 20_000)
            var follower = timeline.items.makeAsyncIterator()
            #expect(try await follower.next() == [])

            let before = residentMemory()
            let saying = Task { try await door("say \(bob.prefix { $0 != "@" }) \(alice.address) 10000") }
            // It sleeps: only what the conversation list says is looked at.
            _ = try await alice.conversations.items.first { $0.first?.last?.text == "10000" }
            try await saying.value
            let grown = residentMemory() - before
            #expect(grown < 64 << 20, "\(grown >> 10) KiB more while the listener slept")

            var folded: [TimelineItem] = []
            var pulls = 0
            while folded.messages.last?.text != "10000" {
                folded = try #require(try await follower.next())
                pulls += 1
            }
            #expect(pulls == 1, "what was not pulled has merged")
            #expect(folded.messages.map(\.text) == (1...10_000).map(String.init))
            #expect(try await timeline.items.first { _ in true } == folded)
        }
    }

    @Test("a panic arrives as a bug", .timeLimit(.minutes(3)))
    func panic() async throws {
        #expect { try panicNow() } throws: { isBug($0, "on purpose at ") }
        await #expect { try await panicLater() } throws: { isBug($0, "on purpose, later at ") }
    }

    @Test("key lost and start over", .timeLimit(.minutes(3)))
    func keyLost() async throws {
        try await World.play { world in
            let vault = MemoryVault()
            let address = try await world.account("alice")
            let first = try await world.client("phone", vault: vault)
            let (_, bob) = try await world.signedIn("bob")
            let old = try await first.addAccount(address, connection: straight())
            #expect(!vault.names.isEmpty, "the core has put its secret into our vault")
            try await old.signIn(password: "secret")
            try await old.send("before", to: bob.address)
            try await old.sync(timeout: .seconds(30))
            try await world.close(first)

            vault.forget()
            let client = try await world.client("phone", vault: vault)
            let lost = try #require(try client.account(address))
            guard case .offline(.keyLost, _, _) = lost.status else {
                Issue.record("\(lost.status)")
                return
            }
            await #expect(throws: WhimbrelError.keyLost) { try await lost.send("?", to: bob.address) }
            await #expect(throws: WhimbrelError.keyLost) { _ = try await lost.timeline(with: bob.address, limit: 50) }

            let databases = databases(under: world.path("phone"))
            let new = try await client.startOver(address)
            #expect(self.databases(under: world.path("phone")) > databases, "the old file is set aside")
            await #expect(throws: WhimbrelError.closed) { try await lost.send("?", to: bob.address) }
            // What is known of how to connect went with the file.
            try await client.addAccount(address, connection: straight())
            try await new.signIn(password: "secret")
            let timeline = try await new.timeline(with: bob.address, limit: 50)
            while try await timeline.older(limit: 50) {}
            #expect(try await timeline.messages { !$0.isEmpty }.map(\.text) == ["before"])
        }
    }

    private func databases(under directory: URL) -> Int {
        let files = FileManager.default.enumerator(atPath: directory.path)?.allObjects as? [String] ?? []
        return files.count { $0.hasSuffix("account.db") }
    }

    @Test("key locked", .timeLimit(.minutes(3)))
    func keyLocked() async throws {
        try await World.play { world in
            let vault = MemoryVault()
            let address = try await world.account("alice")
            let first = try await world.client("phone", vault: vault)
            let (_, bob) = try await world.signedIn("bob")
            try await first.addAccount(address, connection: straight()).signIn(password: "secret")
            try await world.close(first)

            vault.fail(with: WhimbrelError.locked)
            let client = try await world.client("phone", vault: vault)
            let alice = try #require(try client.account(address))
            guard case .offline(.locked, _, _) = alice.status else {
                Issue.record("\(alice.status)")
                return
            }
            await #expect(throws: WhimbrelError.locked) { try await alice.send("?", to: bob.address) }
            // What is not ours arrives all the same.
            vault.fail(with: CocoaError(.fileReadUnknown))
            await #expect { try await alice.send("?", to: bob.address) } throws: { isBug($0, "the app's key vault failed: ") }

            vault.fail(with: nil)
            try await alice.send("unlocked", to: bob.address)
            try await alice.connect()
            _ = try await bob.timeline(with: address, limit: 50).messages { $0.map(\.text) == ["unlocked"] }
        }
    }

    @Test("observe the status over a cut", .timeLimit(.minutes(3)))
    func statusOverACut() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice", over: linked())
            var statuses = alice.statuses.makeAsyncIterator()
            var seen = [try #require(try await statuses.next())]
            while seen.last != .online { seen.append(try #require(try await statuses.next())) }

            // Nobody comes through until it was seen: else it may be over before we look.
            try await door("refuse")
            try await door("cut")
            seen = [try #require(try await statuses.next())]
            #expect(seen[0] != .online)
            try await door("accept")
            while seen.last != .online { seen.append(try #require(try await statuses.next())) }
            #expect(seen.count > 1)
            #expect(alice.status == .online)
        }
    }

    @Test("leave nothing behind after close", .timeLimit(.minutes(3)))
    func nothingLeft() async throws {
        // That nothing is held any more is what `play` waits for, here and everywhere.
        try await World.play { world in
            let (client, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let timeline = try await alice.timeline(with: bob.address, limit: 50)
            let following = [
                Task { for try await _ in timeline.items {} },
                Task { for try await _ in alice.conversations.items {} },
                Task { for try await _ in alice.contacts.items {} },
                Task { for try await _ in alice.statuses {} },
            ]
            let listening = Task { for try await _ in alice.events {} }
            try await alice.send("Adieu", to: bob.address)
            _ = try await bob.timeline(with: alice.address, limit: 50).messages { !$0.isEmpty }
            let data = world.path(alice.address).path
            #expect(!openFiles(under: data).isEmpty)

            try await world.close(client)
            for task in following {
                await #expect(throws: WhimbrelError.closed) { try await task.value }
            }
            // What happens ends, and is no error.
            try await listening.value
            #expect(openFiles(under: data) == [])
            await #expect(throws: WhimbrelError.closed) { try await alice.send("?", to: bob.address) }
            await #expect(throws: WhimbrelError.closed) { try await client.resume() }
            await #expect(throws: WhimbrelError.closed) { _ = try await client.wakeUp(alice.address, within: .seconds(1)) }
            try await client.close()
        }
    }
}

/// Which of several have begun, each once however often it says so, at any thread.
private final class Begun: @unchecked Sendable {
    private let lock = NSLock()
    private var noted: Set<Int> = []

    var count: Int { lock.withLock { noted.count } }

    func note(_ which: Int) {
        lock.withLock { _ = noted.insert(which) }
    }
}

private func openFiles(under directory: String) -> [String] {
    let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return descriptors.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)") }
        .filter { $0.hasPrefix("\(directory)/") }
}

/// In bytes, what is ours alone and in memory.
private func residentMemory() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") } ?? ""
    return (line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0) << 10
}
