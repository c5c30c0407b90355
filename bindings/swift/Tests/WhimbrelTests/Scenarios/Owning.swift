import Foundation
import Testing
import Whimbrel

extension OverARealServer {
    @Test("settings agree on two devices", .timeLimit(.minutes(3)))
    func settings() async throws {
        try await World.play { world in
            let (_, phone) = try await world.signedIn("alice")
            let tablet = try await world.device("tablet", of: phone)
            let bob = try await world.account("bob")
            let carol = try await world.account("carol")
            for friend in [bob, carol] { try await phone.send("Good morrow!", to: friend) }
            try await phone.setPinned(true, with: bob)
            try await phone.setMuted(.forEver, with: bob)
            try await phone.setNotify(.onMention, with: carol)
            _ = try await tablet.line(bob) { $0.isPinned && $0.muted == .forEver }
            _ = try await tablet.line(carol) { $0.notify == .onMention }

            // What is decided offline counts as soon as there is a connection.
            try await tablet.disconnect()
            try await tablet.setMuted(nil, with: bob)
            try await tablet.setArchived(true, with: carol)
            let before = try await phone.line(bob) { _ in true }
            #expect(before.muted == .forEver)
            try await tablet.connect()
            _ = try await phone.line(bob) { $0.isPinned && $0.muted == nil }
            _ = try await phone.line(carol) { $0.isArchived && $0.notify == .onMention }

            // A new one learns it from the server.
            let watch = try await world.device("watch", of: phone)
            _ = try await watch.line(bob) { $0.isPinned && $0.muted == nil }
        }
    }

    @Test("read and publish a card", .timeLimit(.minutes(3)))
    func card() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let card = Card(
                fullName: "Alice <Capulet>", name: Card.Name(family: "Capulet", given: "Alice"), nicknames: ["Al"],
                birthday: "--07-31", organisations: [Card.Organisation("House of Capulet", units: ["Kitchen"])],
                titles: ["Cook"], emails: [Card.Line("alice@a.test", kinds: ["home"], isPreferred: true)],
                telephones: [Card.Line("+39-045-1", kinds: ["cell"])],
                addresses: [Card.PostalAddress(kinds: ["work"], street: "Via Cappello 23", locality: "Verona")],
                urls: [Card.Line("https://a.test/alice")], note: "by any other name")
            #expect(try await bob.knownCard(of: alice.address) == nil)
            try await alice.setCard(card, for: .everybody)
            try await alice.sync(timeout: .seconds(30))
            #expect(try await alice.knownCard(of: alice.address)?.card == card)
            #expect(try await bob.card(of: alice.address) == card)

            // To a stranger she says nothing from now on.
            try await alice.setCard(Card(fullName: "Alice"), for: .contacts)
            try await alice.sync(timeout: .seconds(30))
            #expect(try await bob.card(of: alice.address) == Card())
            try await world.befriend(alice, bob)
            #expect(try await bob.card(of: alice.address) == Card(fullName: "Alice"))

            try await bob.disconnect()
            await #expect(throws: WhimbrelError.offline) { _ = try await bob.card(of: alice.address) }
            #expect(try await bob.knownCard(of: alice.address)?.card == Card(fullName: "Alice"))
            await #expect { try await alice.setCard(Card(nicknames: [""]), for: .contacts) } throws: { isInvalid($0) }
        }
    }

    @Test("register, change the password, and delete the account", .timeLimit(.minutes(3)))
    func register() async throws {
        try await World.play { world in
            let client = try await world.client("phone")
            let registration = try await client.register("a.test", connection: straight())
            #expect(Set(registration.form.fields.map(\.name)).isSuperset(of: ["username", "password"]))
            // The name is taken: another one, on the same form.
            let taken = try await world.account("bob").prefix { $0 != "@" }
            await #expect { try await registration.submit(["username": String(taken), "password": "balcony"]) } throws: {
                isRefused($0, "conflict")
            }
            let name = "alice-\(UUID().uuidString.prefix(8).lowercased())"
            let alice = try await registration.submit(["username": name, "password": "balcony"])
            #expect(alice.address == "\(name)@a.test")
            try await alice.online()

            var events = alice.events.makeAsyncIterator()
            await #expect { try await alice.changePassword("") } throws: { isInvalid($0) }
            try await alice.changePassword("quill & ink")
            let ended = try await events.first { if case .password(let change) = $0 { change } else { nil } }
            #expect(ended == .done)
            let tablet = try await world.client("tablet").addAccount(alice.address, connection: straight())
            await #expect(throws: WhimbrelError.wrongPassword) { try await tablet.signIn(password: "balcony") }
            try await tablet.signIn(password: "quill & ink")
            try await tablet.disconnect()

            try await client.deleteAccount(alice.address)
            #expect(try client.accounts.isEmpty)
            await #expect(throws: WhimbrelError.closed) { try await alice.connect() }
            await #expect(throws: WhimbrelError.wrongPassword) { try await tablet.signIn(password: "quill & ink") }
        }
    }

    @Test("a link is read, written, and makes friends", .timeLimit(.minutes(3)))
    func links() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let invitation = try await alice.invite(validFor: .seconds(3600))
            let link = try XMPPLink(uri: invitation.uri)
            guard let inviter = link.address, case .roster(_, _, let token?, let registers) = link.action else {
                Issue.record("\(link)")
                return
            }
            #expect(inviter == alice.address && link.account == nil && registers == invitation.registers)
            #expect(try XMPPLink(uri: link.written()) == link)
            try await bob.addInviter(inviter, token: token, name: "Alice")
            for (account, friend) in [(alice, bob), (bob, alice)] {
                _ = try await account.contacts.items.first {
                    $0.contains { $0.address == friend.address && $0.subscription == .both && $0.isAvailable }
                }
            }

            // Her own, as a QR code has it, and whatever else a link may ask for.
            #expect(try XMPPLink(address: alice.address).written() == "xmpp:\(alice.address)")
            let actions: [XMPPLink.Action?] = [
                nil, .message(body: "1 + 1 = 2;\n«ř» & #?", subject: "Sums"), .message(), .subscribe, .unsubscribe,
                .roster(name: "Alice & co", groups: ["Friends", "Verona"], token: "T", registers: true), .roster(), .remove,
                .register(token: "T"), .join(password: "cauldron"),
                .other(name: "command", parameters: [.init(name: "node", value: "stats"), .init(name: "action", value: "")]),
            ]
            for action in actions {
                let said = XMPPLink(address: "\(alice.address)/the balcony", action: action, account: bob.address)
                let written = try said.written()
                #expect(written.unicodeScalars.count == written.utf8.count)
                #expect(try XMPPLink(uri: written) == said)
            }

            let none = [
                "", alice.address, "mailto:\(alice.address)", "xmpp:", "xmpp:alice%40a.test@b.test", "xmpp:a.test?message;body=%",
            ]
            for text in none { #expect { try XMPPLink(uri: text) } throws: { isInvalid($0) } }
            let wrong = [
                XMPPLink(address: nil), XMPPLink(address: "@"), XMPPLink(address: alice.address, account: "@"),
                XMPPLink(address: alice.address, action: .message(body: "\u{0}")),
                XMPPLink(address: alice.address, action: .other(name: "remove")),
            ]
            for link in wrong { #expect { try link.written() } throws: { isInvalid($0) } }
        }
    }

    @Test("export everything and import it on a new device", .timeLimit(.minutes(3)))
    func export() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let withBob = try await alice.timeline(with: bob.address)
            for number in 0..<10 {
                let (one, other) = number % 2 == 0 ? (alice, bob) : (bob, alice)
                try await one.send("line \(number)", to: other.address)
                // Until the server has hers, his may overtake it, and that is then their order.
                _ = try await withBob.messages { $0.last?.text == "line \(number)" && $0.last?.state != .queued }
            }
            let first = try await withBob.messages { _ in true }[0].id
            try await alice.edit(first, text: "the first line")
            let draft = Draft(text: "not yet said")
            try await alice.setDraft(draft, with: bob.address)
            try await alice.sync(timeout: .seconds(30))
            let file = world.path("alice.xml")
            // Its ten messages, and the correction.
            #expect(try await alice.export(to: file) == 11)
            #expect(!(try String(contentsOf: file, encoding: .utf8)).contains("secret"))

            // It was never online.
            let tablet = try await world.client("tablet").addAccount(alice.address, connection: straight())
            #expect(try await tablet.import(from: file).added == 11)
            let said = ["the first line"] + (1..<10).map { "line \($0)" }
            #expect(try await tablet.timeline(with: bob.address).messages { _ in true }.map(\.text) == said)
            #expect(try await tablet.line(bob.address) { _ in true }.draft == draft)
            let again = try await tablet.import(from: file)
            #expect(again.added == 0 && again.known == 11)

            // The archive brings nothing twice.
            try await tablet.signIn(password: "secret")
            try await tablet.sync(timeout: .seconds(30))
            try await bob.send("the last", to: alice.address)
            let all = try await tablet.timeline(with: bob.address).messages { $0.last?.text == "the last" }
            #expect(all.map(\.text) == said + ["the last"])
            await #expect { try await bob.import(from: file) } throws: { isInvalid($0) }
            await #expect(throws: WhimbrelError.notFound) { try await bob.import(from: world.path("nothing.xml")) }
        }
    }

    @Test("a log bundle says nothing of what was written", .timeLimit(.minutes(3)))
    func logBundle() async throws {
        try await World.play { world in
            try Client.keepLog()
            let (client, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await alice.send("But soft, what light?", to: bob.address)
            _ = try await bob.timeline(with: alice.address).messages { $0.count == 1 }
            try await alice.disconnect()
            _ = try await alice.becomes { if case .offline = $0 { true } else { false } }
            let bundle = try await client.logBundle()
            #expect(bundle.hasPrefix("Whimbrel ") && bundle.contains("account 1: offline"))
            #expect(bundle.contains("whimbrel"), "there are lines of the log")
            for secret in ["But soft", "secret", "a.test", "alice", "bob", world.directory.path] {
                #expect(!bundle.contains(secret), "\(secret) is in it")
            }
        }
    }
}
