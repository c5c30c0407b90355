import Foundation
import Testing
@testable import Whimbrel

/// What of the face no scenario plays.
extension OverARealServer {
    @Test("every error comes back as it went")
    func errors() {
        let all: [WhimbrelError] = [
            .offline, .timedOut, .wrongPassword, .serverRefused(condition: "c", text: "t"), .untrusted(what: "w"), .notFound,
            .invalidInput(what: "w"), .storageFull, .databaseUnusable(why: .newer), .databaseUnusable(why: .wrongKey),
            .databaseUnusable(why: .corrupt), .databaseUnusable(why: .readOnly), .keyLost, .locked, .closed, .suspended, .inUse,
            .bug(report: "r"),
        ]
        for error in all { #expect(WhimbrelError(thrown: error.generated) == error) }
        #expect(WhimbrelError(thrown: CocoaError(.fileNoSuchFile)) != .notFound, "nobody else's error is taken for ours")
    }

    @Test("times cross the boundary, also those that make no sense")
    func times() {
        #expect(Duration.milliseconds(1500).seconds == 1.5)
        #expect(Duration.seconds(-1).seconds == 0)
        #expect(Duration.seconds(Int64.max).seconds > 0)
        #expect(Date(milliseconds: 1500) == Date(timeIntervalSince1970: 1.5))
        #expect(Date(timeIntervalSince1970: 1.5).milliseconds == 1500)
        #expect(Date.distantFuture.milliseconds > 0)
        #expect(Date(timeIntervalSince1970: 1e300).milliseconds == .max)
        #expect(Date(timeIntervalSince1970: -.infinity).milliseconds == .min)
    }

    @Test("splices are applied in order")
    func splices() {
        let update = Update(splices: [
            Splice(at: 0, removed: 1, items: []), Splice(at: 1, removed: 1, items: [30, 31]), Splice(at: 3, removed: 0, items: [4]),
        ])
        var list = [1, 2, 3]
        update.apply(to: &list)
        #expect(list == [2, 30, 31, 4])
    }

    @Test("a file vault keeps what it is given", .timeLimit(.minutes(3)))
    func fileVault() async throws {
        try await World.play { world in
            let vault = try FileVault(directory: world.path("deep/keys"))
            #expect(try vault.load("a") == nil)
            try vault.store(Data([1, 2]), as: "a", scope: .thisDeviceOnly)
            #expect(try vault.load("a") == Data([1, 2]))
            try vault.delete("a")
            try vault.delete("a")
            #expect(try vault.load("a") == nil)
        }
    }

    @Test("a log is told what happens, and neither passwords nor messages", .timeLimit(.minutes(3)))
    func log() async throws {
        try await World.play { world in
            let log = Lines()
            try Client.log(to: log, upTo: .debug)
            let (_, alice) = try await world.signedIn("alice")
            try await alice.send("But soft, what light?", to: "bob@a.test")
            try await until { log.all.contains { $0.level == .info && $0.text.hasPrefix("online") } }
            try await until { log.all.contains { $0.level == .debug && $0.text.contains(alice.address) } }
            #expect(log.all.allSatisfy { $0.target.hasPrefix("whimbrel") })
            #expect(!log.all.contains { $0.level != .debug && $0.text.contains("a.test") })
            #expect(!log.all.contains { $0.text.contains("secret") || $0.text.contains("But soft") })
            // Another takes its place.
            let next = Lines()
            try Client.log(to: next, upTo: .info)
            try await alice.disconnect()
            try await until { next.all.contains { $0.text.hasPrefix("offline") } }
            #expect(!next.all.contains { $0.level == .debug })
        }
    }

    @Test("servers are looked up by the app, if it wants to", .timeLimit(.minutes(3)))
    func resolver() async throws {
        try await World.play { world in
            let address = try await world.account("alice")
            let names = Names(port: try port("PORT"))
            let client = try await world.client("alice", resolver: names)
            let alice = try await client.addAccount(address, connection: Connection(certificates: certificates()))
            try await alice.signIn(password: "secret")
            #expect(names.asked == ["_xmpp-client._tcp.a.test", "_xmpps-client._tcp.a.test"])
        }
    }

    @Test("the server says what it is, and what it does not do", .timeLimit(.minutes(3)))
    func server() async throws {
        try await World.play { world in
            let (client, alice) = try await world.signedIn("alice")
            let info = try await alice.serverInfo()
            #expect(info.software == "Prosody" && info.version != nil)
            #expect(info.contacts.contains(.init(kind: "abuse", uri: "mailto:abuse@a.test")))
            let used = try await alice.diskUse()
            #expect(used.total > 4096 && used.setAside == 0)
            // This server does not tell who has access.
            await #expect { _ = try await alice.clients() } throws: { isRefused($0) }
            await #expect { try await alice.revokeClient("nobody") } throws: { isRefused($0) }
            await #expect { _ = try await alice.inviteToServer() } throws: { isRefused($0) }
            await #expect { _ = try await client.register("a.test", token: "made-up", connection: straight()) } throws: {
                isRefused($0)
            }
        }
    }

    @Test("a node is made, subscribed to, changed and emptied", .timeLimit(.minutes(3)))
    func madeNode() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let name = "urn:whimbrel:test:made"
            let hers = try alice.node(name)
            try await hers.create(.public)
            await #expect { try await hers.create() } throws: { isRefused($0, "conflict") }
            // He is no contact, and hears of it since he asks to.
            let theirs = try bob.node(name, of: alice.address)
            var events = bob.events.makeAsyncIterator()
            try await theirs.subscribe()
            try await hers.publish("<act xmlns='urn:whimbrel:test'/>", id: "one")
            let heard = try await events.first { event -> [String]? in
                if case .published(alice.address, name, let items) = event { items.map(\.id) } else { nil }
            }
            #expect(heard == ["one"])
            try await theirs.unsubscribe()
            // Whoever was cut off before the answer does it again.
            try await theirs.unsubscribe()

            try await hers.configure(NodeOptions(["title": "Acts"]))
            let options = try await hers.configuration().values
            #expect(options["title"] == "Acts" && options["access_model"] == "open")
            try await hers.purge()
            #expect(try await theirs.items().items == [])
        }
    }

    @Test("what contacts are told is decided in general and for one of them", .timeLimit(.minutes(3)))
    func signals() async throws {
        try await World.play { world in
            let bob = "bob@a.test"
            let alice = try await world.client("alice").addAccount("alice@a.test", connection: straight())
            #expect(try await alice.signals() == Signals())
            try await alice.setSignals(Signals(typing: false))
            #expect(try await alice.signals() == Signals(typing: false))
            try await alice.send("But soft, what light?", to: bob)
            try await alice.setSignals(Signals(displayed: false), with: bob)
            let line = try await alice.line(bob) { $0.signals != nil }
            #expect(line.signals == Signals(displayed: false) && !line.isStranger)
            try await alice.setSignals(nil, with: bob)
            _ = try await alice.line(bob) { $0.signals == nil }
        }
    }

    @Test("a stranger stands apart until they are answered", .timeLimit(.minutes(3)))
    func stranger() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await alice.setNotifyOfStrangers(false)
            var events = alice.events.makeAsyncIterator()
            try await bob.send("Who is there?", to: alice.address)
            let notify = try await events.first { if case .newMessage(_, let notify) = $0 { notify } else { nil } }
            #expect(!notify)
            _ = try await alice.line(bob.address) { $0.isStranger }
            try await bob.addContact(alice.address)
            _ = try await alice.contacts.items.first { $0.contains { $0.address == bob.address && $0.asks } }
            try await alice.declineContact(bob.address)
            _ = try await alice.contacts.items.first { !$0.contains { $0.asks } }
            try await alice.send("Nobody", to: bob.address)
            _ = try await alice.line(bob.address) { !$0.isStranger }
        }
    }

    @Test("a form is filled in and submitted")
    func form() throws {
        let xml = """
            <x xmlns='jabber:x:data' type='form'><title>Supper</title><instructions>Choose.</instructions>\
            <field var='dish' type='list-single' label='Dish'><desc>What to eat</desc><required/>\
            <option label='Fish'><value>fish</value></option><option><value>fowl</value></option></field>\
            <field var='note' type='text-multi'><value>none</value></field></x>
            """
        let form = try Form(xml: xml)
        #expect(form.kind == .form && form.title == "Supper" && form.instructions == ["Choose."])
        let dish = try #require(form["dish"])
        #expect(dish.kind == .listSingle && dish.isRequired && !dish.isOpen && dish.values.isEmpty)
        #expect(dish.label == "Dish" && dish.description == "What to eat")
        #expect(dish.options.map(\.value) == ["fish", "fowl"] && dish.options.map(\.label) == ["Fish", nil])
        #expect { try form.submitted() } throws: { isInvalid($0) }
        #expect { try form.filled(["dish": ["flesh"]]) } throws: { isInvalid($0) }
        #expect { try form.filled(["drink": ["wine"]]) } throws: { isInvalid($0) }
        let filled = try form.filled(["dish": ["fish"], "note": ["no bones", "please"]])
        #expect(filled["note"]?.values == ["no bones", "please"] && filled["dish"]?.label == "Dish")
        let submitted = try Form(xml: filled.submitted())
        #expect(submitted.kind == .submit && submitted["dish"]?.values == ["fish"])
        #expect { try Form(xml: "<x/>") } throws: { isInvalid($0) }
    }

    @Test("what the platform says, push and raw stanzas", .timeLimit(.minutes(3)))
    func platform() async throws {
        try await World.play { world in
            let (client, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try client.networkChanged(Network(id: "home", kind: .wifi, dns: ["127.0.0.1"]))
            #expect { try client.networkChanged(Network(kind: .cellular, dns: ["no address"])) } throws: { isInvalid($0) }
            try client.woke()
            try client.lowMemory()
            try client.setForeground(false)
            try client.setForeground(true)

            #expect(try await alice.pushState == .off)
            await #expect { try await alice.setPush(Push(service: "@", node: "n")) } throws: { isInvalid($0) }
            try await alice.setPush(Push(service: "push.a.test", node: "n"))
            #expect(try await alice.pushState != .off)
            try await alice.setPush(nil)

            await #expect { try await alice.sendRaw("<message>") } throws: { isInvalid($0) }
            try await alice.sendRaw("<message to='\(bob.address)' type='chat'><body>raw</body></message>")
            let timeline = try await bob.timeline(with: alice.address, limit: 50)
            #expect(timeline.with == alice.address)
            try timeline.setUTCOffset(.seconds(-3600))
            _ = try await timeline.messages { $0.map(\.text) == ["raw"] }

            #expect { _ = try client.account("@") } throws: { isInvalid($0) }
            #expect(try client.account("nobody@a.test") == nil)
            await #expect(throws: WhimbrelError.notFound) { try await client.startOver("nobody@a.test") }
            await #expect { try await alice.send("?", to: bob.address, id: "no UUID") } throws: { isInvalid($0) }
        }
    }
}

private final class Lines: LogSink, @unchecked Sendable {
    private let lock = NSLock()
    private var lines: [(text: String, level: LogLevel, target: String)] = []

    var all: [(text: String, level: LogLevel, target: String)] { lock.withLock { lines } }

    func log(_ text: String, level: LogLevel, target: String) {
        lock.withLock { lines.append((text, level, target)) }
    }
}

/// Knows one server, and throws where it is asked for another service.
private final class Names: Resolver, @unchecked Sendable {
    private let lock = NSLock()
    private let port: UInt16
    private var names: Set<String> = []

    init(port: UInt16) {
        self.port = port
    }

    var asked: Set<String> { lock.withLock { names } }

    func serviceRecords(of name: String) throws -> [ServiceRecord] {
        _ = lock.withLock { names.insert(name) }
        guard name.hasPrefix("_xmpp-client.") else { throw CocoaError(.featureUnsupported) }
        return [ServiceRecord(priority: 1, weight: 1, port: port, target: "127.0.0.1")]
    }
}
