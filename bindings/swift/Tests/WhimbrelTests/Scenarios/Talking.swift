import Foundation
import Testing
import Whimbrel

extension OverARealServer {
    @Test("sign in", .timeLimit(.minutes(3)))
    func signIn() async throws {
        try await World.play { world in
            let address = try await world.account("alice")
            let client = try await world.client("phone")
            let alice = try await client.addAccount(address, connection: straight())
            #expect(alice.address == address)
            #expect(alice.status == .offline(reason: nil, detail: "", nextAttempt: nil))
            var events = alice.events.makeAsyncIterator()
            try await alice.signIn(password: "secret")
            try await alice.online()
            #expect(try client.accounts.map(\.address) == [address])
            #expect(try await events.next() == .online(resumed: false, afterStart: true))
            try await world.close(client)

            // From then on without a password.
            let again = try await world.client("phone")
            let same = try #require(try again.account(address))
            #expect(try again.accounts.count == 1)
            try await same.connect()
            try await same.online()
        }
    }

    @Test("wrong password", .timeLimit(.minutes(3)))
    func wrongPassword() async throws {
        try await World.play { world in
            let address = try await world.account("alice")
            let alice = try await world.client("phone").addAccount(address, connection: straight())
            await #expect(throws: WhimbrelError.wrongPassword) { try await alice.signIn(password: "not-hers") }
            let status = try await alice.becomes { if case .offline = $0 { true } else { false } }
            guard case .offline(.wrongPassword, _, nextAttempt: nil) = status else {
                Issue.record("\(status)")
                return
            }
            try await alice.signIn(password: "secret")
            try await alice.online()
        }
    }

    @Test("add a contact", .timeLimit(.minutes(3)))
    func addAContact() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await alice.addContact(bob.address, name: "Bob")
            let asked = try await alice.contacts.items.first { $0.first?.isAsked == true }?.first
            #expect(asked?.address == bob.address)
            #expect(asked?.name == "Bob")
            #expect(asked?.subscription == .neither)

            _ = try await bob.contacts.items.first { $0.contains { $0.address == alice.address && $0.asks } }
            try await bob.acceptContact(alice.address)
            let accepted = try await alice.contacts.items.first { $0.first?.isAvailable == true }?.first
            #expect(accepted?.subscription == .to)
            #expect(accepted?.isAsked == false)
            #expect(accepted?.presence?.show == .available)
            try await alice.editContact(bob.address, name: "Robert", groups: ["Friends"])
            _ = try await alice.contacts.items.first { $0.first?.name == "Robert" && $0.first?.groups == ["Friends"] }

            try await alice.removeContact(bob.address)
            _ = try await alice.contacts.items.first { $0.isEmpty }
            await #expect(throws: WhimbrelError.self) { try await alice.addContact("not an@address@") }
        }
    }

    @Test("block somebody and hear of them again", .timeLimit(.minutes(3)))
    func block() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let withBob = try await alice.timeline(with: bob.address)
            try await bob.send("Thou art a villain", to: alice.address)
            let said = try await withBob.messages { $0.count == 1 }[0]
            try await alice.block(bob.address, report: Report(reason: .abuse, messages: [said.id]))
            #expect(try await alice.blocked == [bob.address])
            _ = try await alice.conversations.items.first { $0.first?.isBlocked == true }
            try await alice.sync(timeout: .seconds(30))
            try await bob.send("A villain!", to: alice.address)
            try await bob.sync(timeout: .seconds(30))

            try await alice.unblock(bob.address)
            #expect(try await alice.blocked == [])
            try await alice.sync(timeout: .seconds(30))
            try await bob.send("Peace", to: alice.address)
            #expect(try await withBob.messages { $0.count == 2 }.map(\.text) == ["Thou art a villain", "Peace"])
        }
    }

    @Test("see what people show of themselves", .timeLimit(.minutes(3)))
    func shown() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await world.befriend(alice, bob)
            // One pixel.
            let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
            let picture = Picture(kind: "image/png", bytes: try #require(Data(base64Encoded: png)))
            try await alice.setNickname("Alice of Verona")
            try await alice.setAvatar(picture)
            let contact = try await bob.contacts.items.first { $0.first?.avatar != nil && $0.first?.nickname != nil }?.first
            #expect(contact?.nickname == "Alice of Verona")
            #expect(try await bob.avatar(try #require(contact?.avatar)) == picture)
            #expect(try await bob.avatar("none") == nil)
            await #expect { try await alice.setAvatar(Picture(kind: "image/png", bytes: Data())) } throws: { isInvalid($0) }

            try await alice.setAvatar(nil)
            _ = try await bob.contacts.items.first { $0.first?.avatar == nil }

            #expect(try await alice.presence().show == .available)
            try await alice.setPresence(.doNotDisturb, text: "at the ball")
            let busy = try await alice.presence()
            #expect(busy.show == .doNotDisturb && busy.text == "at the ball" && busy.idleSince == nil)
            _ = try await bob.contacts.items.first { $0.first?.presence == busy }
            for text in ["two\nlines", String(repeating: "x", count: 1025)] {
                await #expect { try await alice.setPresence(.chat, text: text) } throws: { isInvalid($0) }
            }
            try await alice.disconnect()
            _ = try await bob.contacts.items.first { $0.first?.isAvailable == false }
            try await alice.setPresence(.extendedAway)
            try await alice.connect()
            let shown = try await bob.contacts.items.first { $0.first?.presence?.show == .extendedAway }?.first?.presence
            #expect(shown?.text == nil)
        }
    }

    @Test("send and see it queued, sent, delivered, displayed", .timeLimit(.minutes(3)))
    func states() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await world.befriend(alice, bob)
            let withBob = try await alice.timeline(with: bob.address, limit: 50)
            let withAlice = try await bob.timeline(with: alice.address, limit: 50)

            // Offline first: pulled updates merge, so online the state might have passed before we looked.
            try await alice.disconnect()
            let id = try await alice.send("But soft, what light?", to: bob.address)
            let queued = try await withBob.messages { $0.count == 1 }[0]
            #expect(queued.id == id)
            #expect(queued.isMine)
            #expect(queued.state == .queued)

            var states = alice.events.makeAsyncIterator()
            try await alice.connect()
            let received = try await withAlice.messages { $0.count == 1 }[0]
            #expect(received.text == "But soft, what light?")
            #expect(received.from.hasPrefix("\(alice.address)/"))
            #expect(!received.isMine && received.state == nil)
            _ = try await withBob.messages { $0[0].state == .delivered }

            try await bob.markRead(alice.address)
            _ = try await withBob.messages { $0[0].state == .displayed }
            var seen: [SendState] = []
            while seen.last != .displayed, let event = try await states.next() {
                if case .state(id, bob.address, let state) = event { seen.append(state) }
            }
            #expect(seen == [.sent, .delivered, .displayed])
        }
    }

    @Test("repeat a send after a cancellation and it is one message", .timeLimit(.minutes(3)))
    func repeatASend() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let ids = (0..<20).map { _ in UUID().uuidString.lowercased() }
            var cancelled = 0
            for (number, id) in ids.enumerated() {
                let sending = Task { try await alice.send("\(number)", to: bob.address, id: id) }
                // At another point each time.
                for _ in 0..<number { await Task.yield() }
                sending.cancel()
                switch await sending.result {
                case .success(let sent): #expect(sent == id)
                case .failure(let error):
                    #expect(error is CancellationError)
                    cancelled += 1
                }
                #expect(try await alice.send("\(number)", to: bob.address, id: id) == id)
            }
            #expect(cancelled > 0)
            let last = try await alice.send("last", to: bob.address)
            let said = (0..<20).map { "\($0)" } + ["last"]
            for account in [alice, bob] {
                let with = account.address == alice.address ? bob.address : alice.address
                let messages = try await account.timeline(with: with, limit: 50).messages { $0.last?.text == "last" }
                #expect(messages.map(\.text) == said)
                if account.address == alice.address { #expect(messages.map(\.id) == ids + [last]) }
            }
        }
    }

    @Test("see the styles and links of a message", .timeLimit(.minutes(3)))
    func styles() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await alice.send("🌹 *this*: https://a.test/x.", to: bob.address)
            let timeline = try await bob.timeline(with: alice.address, limit: 50)
            let message = try #require(try await timeline.messages { $0.count == 1 }.first)
            let spans = message.spans.filter { $0.style != .directive }
            let parts = try spans.map { String(message.text[try #require(Range($0.range, in: message.text))]) }
            #expect(parts == ["*this*", "https://a.test/x"])
            #expect(spans.map(\.style) == [.strong, .link(url: "https://a.test/x")])
            #expect(message.spans.count == 4 && !message.isAction && !message.isEmojiOnly)
        }
    }

    @Test("receive while subscribed", .timeLimit(.minutes(3)))
    func receive() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            var events = bob.events.makeAsyncIterator()
            let timeline = try await bob.timeline(with: alice.address, limit: 50)
            var items = timeline.items.makeAsyncIterator()
            #expect(try await items.next() == [])
            for text in ["O Romeo, Romeo", "wherefore art thou", "Romeo?"] {
                try await alice.send(text, to: bob.address)
                var shown: [Message] = []
                while shown.last?.text != text { shown = try #require(try await items.next()).messages }
                #expect(shown.last?.from.hasPrefix("\(alice.address)/") == true)
                var told: Message?
                while told == nil, let event = try await events.next() {
                    if case .newMessage(let message, notify: true) = event { told = message }
                }
                #expect(told?.text == text)
                #expect(told?.id == shown.last?.id)
            }
            let conversation = try await bob.conversations.items.first { $0.first?.unread == 3 }?.first
            #expect(conversation?.with == alice.address)
            #expect(conversation?.last?.text == "Romeo?")
            try await bob.markRead(alice.address)
            _ = try await bob.conversations.items.first { $0.first?.unread == 0 }
        }
    }

    @Test("typing is seen, and forgotten", .timeLimit(.minutes(3)))
    func typing() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await world.befriend(alice, bob)
            try await alice.send("But soft,", to: bob.address)
            _ = try await bob.line(alice.address) { $0.last?.text == "But soft," }
            for state in [ChatState.composing, .paused, .composing] {
                try await alice.setChatState(state, with: bob.address)
                _ = try await bob.line(alice.address) { $0.chatState == state }
            }
            // It ends with what was typed.
            try await alice.send("what light?", to: bob.address)
            _ = try await bob.line(alice.address) { $0.last?.text == "what light?" && $0.chatState == .active }
            // Or with her going.
            try await alice.setChatState(.composing, with: bob.address)
            _ = try await bob.line(alice.address) { $0.chatState == .composing }
            try await alice.disconnect()
            _ = try await bob.line(alice.address) { $0.chatState == nil }
            await #expect(throws: WhimbrelError.offline) { try await alice.setChatState(.composing, with: bob.address) }
        }
    }

    @Test("page back through a thousand messages", .timeLimit(.minutes(3)))
    func pageBack() async throws {
        try await World.play { world in
            let address = try await world.account("alice")
            let bob = try await world.account("bob")
            try await door("say \(bob.prefix { $0 != "@" }) \(address) 1000")
            let alice = try await world.client("fresh").addAccount(address, connection: straight())
            try await alice.signIn(password: "secret")
            let timeline = try await alice.timeline(with: bob, limit: 50)
            while try await timeline.older(limit: 100) {}
            let messages = try await timeline.messages { $0.count >= 1000 }
            #expect(messages.map(\.text) == (1...1000).map(String.init))
        }
    }

    @Test("hold the scroll position while new ones arrive", .timeLimit(.minutes(2)))
    func scrollPosition() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let bob = try await world.account("bob")
            let name = bob.prefix { $0 != "@" }
            try await door("say \(name) \(alice.address) 40")
            // The window begins with the newest 20 of those that are here.
            _ = try await alice.conversations.items.first { $0.first?.last?.text == "40" }
            let timeline = try await alice.timeline(with: bob, limit: 20)

            var updates = timeline.updates.makeAsyncIterator()
            var items: [TimelineItem] = []
            try #require(try await updates.next()).apply(to: &items)
            #expect(items.messages.map(\.text) == (21...40).map { "\($0)" })
            let saying = Task { try await door("say \(name) \(alice.address) 30") }
            while items.messages.last?.text != "30" {
                let before = items.map(\.id)
                let update = try #require(try await updates.next())
                for splice in update.splices { #expect(splice.at >= before.count - 1, "above is left alone") }
                update.apply(to: &items)
                #expect(Array(items.map(\.id).prefix(before.count)) == before)
            }
            try await saying.value

            // And what is older comes above all that was shown.
            let before = items.map(\.id)
            try await timeline.older(limit: 20)
            try #require(try await updates.next()).apply(to: &items)
            #expect(items.count > before.count)
            #expect(Array(items.map(\.id).suffix(before.count)) == before)
        }
    }

    @Test("send offline, then reconnect", .timeLimit(.minutes(3)))
    func sendOffline() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await alice.disconnect()
            let texts = ["A thousand times good night!", "A thousand times the worse", "to want thy light."]
            for text in texts { try await alice.send(text, to: bob.address) }
            let withBob = try await alice.timeline(with: bob.address, limit: 50)
            #expect(try await withBob.messages { $0.count == 3 }.allSatisfy { $0.state == .queued })

            try await alice.connect()
            let received = try await bob.timeline(with: alice.address, limit: 50).messages { $0.count == 3 }
            #expect(received.map(\.text) == texts)
            _ = try await withBob.messages { $0.allSatisfy { $0.state != .queued } }
        }
    }

    @Test("two accounts at once", .timeLimit(.minutes(3)))
    func twoAccounts() async throws {
        try await World.play { world in
            let (one, other) = (try await world.account("alice"), try await world.account("bob"))
            let client = try await world.client("phone")
            let alice = try await client.addAccount(one, connection: straight())
            let bob = try await client.addAccount(other, connection: straight())
            async let first: Void = alice.signIn(password: "secret")
            async let second: Void = bob.signIn(password: "secret")
            _ = try await (first, second)
            #expect(try client.accounts.map(\.address) == [one, other])

            try await alice.send("Wilt thou be gone?", to: other)
            try await bob.send("It was the lark", to: one)
            let withAlice = try await bob.timeline(with: one, limit: 50).messages { $0.count == 2 }
            let withBob = try await alice.timeline(with: other, limit: 50).messages { $0.count == 2 }
            #expect(Set(withAlice.map(\.text)) == ["Wilt thou be gone?", "It was the lark"])
            #expect(Set(withBob.map(\.text)) == Set(withAlice.map(\.text)))
            #expect(withBob.first(where: \.isMine)?.text == "Wilt thou be gone?")
            #expect(withAlice.first(where: \.isMine)?.text == "It was the lark")

            try await client.removeAccount(one)
            #expect(try client.account(one) == nil)
            #expect(try client.accounts.map(\.address) == [other])
            await #expect(throws: WhimbrelError.closed) { try await alice.send("?", to: other) }
            #expect(bob.status == .online)
        }
    }
}
