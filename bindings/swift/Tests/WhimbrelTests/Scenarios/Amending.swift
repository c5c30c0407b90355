import Foundation
import Testing
import Whimbrel

extension OverARealServer {
    @Test("edit what was sent and what was not", .timeLimit(.minutes(3)))
    func edit() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let withBob = try await alice.timeline(with: bob.address)
            let withAlice = try await bob.timeline(with: alice.address)
            let sent = try await alice.send("It is the est", to: bob.address)
            _ = try await withAlice.messages { $0.count == 1 }
            try await alice.edit(sent, text: "It is the east")
            let seen = try await withAlice.messages { $0[0].isEdited }[0]
            #expect(seen.text == "It is the east")
            await #expect { try await bob.edit(seen.id, text: "It is the west") } throws: { isInvalid($0) }
            _ = try await withBob.messages { $0[0].change == nil }

            try await alice.disconnect()
            let unsent = try await alice.send("She speks", to: bob.address)
            try await alice.edit(unsent, text: "She speaks")
            try await alice.edit(sent, text: "It is the west")
            let waiting = try await withBob.messages { $0.count == 2 && $0[1].text == "She speaks" }
            #expect(waiting[0].text == "It is the west")
            let change = try #require(waiting[0].change)
            #expect(change.kind == .correction && change.state == .queued)
            // Nobody has seen another text.
            #expect(!waiting[1].isEdited && waiting[1].change == nil)
            try await alice.cancel(change.id)
            #expect(try await withBob.messages { $0[0].change == nil }[0].text == "It is the east")

            try await alice.connect()
            let all = try await withAlice.messages { $0.count == 2 }
            #expect(all.map(\.text) == ["It is the east", "She speaks"])
            #expect(all.map(\.isEdited) == [true, false])
        }
    }

    @Test("react and take it back", .timeLimit(.minutes(3)))
    func react() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let withAlice = try await bob.timeline(with: alice.address)
            let id = try await alice.send("But soft, what light?", to: bob.address)
            let theirs = try await withAlice.messages { $0.count == 1 }[0]
            var events = alice.events.makeAsyncIterator()
            try await bob.react(to: theirs.id, with: ["☀", "❤"])
            var changed: Message?
            while changed == nil, let event = try await events.next() {
                if case .changed(let message) = event { changed = message }
            }
            #expect(changed?.id == id)
            #expect(changed?.reactions.map(\.text) == ["☀", "❤"])
            #expect(changed?.reactions.allSatisfy { $0.count == 1 && !$0.isMine } == true)

            try await alice.react(to: id, with: ["☀"])
            let both = try await withAlice.messages { $0[0].reactions.contains { $0.count == 2 } }[0].reactions
            #expect(Set(both.map(\.text)) == ["☀", "❤"] && both.allSatisfy(\.isMine))
            try await bob.react(to: theirs.id, with: [])
            let left = try await alice.timeline(with: bob.address).messages { $0[0].reactions.count == 1 }[0].reactions
            #expect(left.map(\.text) == ["☀"] && left.allSatisfy { $0.count == 1 && $0.isMine })
            let nothing = UUID().uuidString.lowercased()
            await #expect(throws: WhimbrelError.notFound) { try await bob.react(to: nothing, with: ["☀"]) }
            await #expect { try await bob.react(to: theirs.id, with: [""]) } throws: { isInvalid($0) }
        }
    }

    @Test("answer a message", .timeLimit(.minutes(3)))
    func answer() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let withAlice = try await bob.timeline(with: alice.address)
            let asked = try await alice.send("Wilt thou be gone?", to: bob.address)
            let theirs = try await withAlice.messages { $0.count == 1 }[0]
            let link = Message.Link(url: "https://a.test/lark", description: "a lark")
            let text = "🐦 It was the lark, Alice"
            let name = NSRange(try #require(text.range(of: "Alice")), in: text)
            let mentions = [Outgoing.Mention(range: name, whom: alice.address)]
            let thread = Message.Thread(id: "dawn", parent: "night")
            let what = Outgoing(
                text, replyTo: theirs.id, spoiler: "birds", thread: thread, links: [link], mentions: mentions)
            let id = try await bob.send(what, to: alice.address)
            #expect(try await bob.send(what, to: alice.address, id: id) == id)
            for (timeline, answers) in [(try await alice.timeline(with: bob.address), asked), (withAlice, theirs.id)] {
                let answer = try await timeline.messages { $0.count == 2 }[1]
                #expect(answer.text == text)
                #expect(answer.spans.map(\.range) == [name])
                #expect(answer.spans.map(\.style) == [.mention(whom: alice.address)])
                #expect(answer.reply?.id == answers)
                #expect(answer.reply?.quote == "Wilt thou be gone?")
                #expect(answer.spoiler == "birds" && answer.thread == thread)
                #expect(answer.links == [link])
            }
            let nothing = Outgoing("?", replyTo: UUID().uuidString.lowercased())
            await #expect(throws: WhimbrelError.notFound) { try await bob.send(nothing, to: alice.address) }
            let nowhere = Outgoing("?", mentions: [Outgoing.Mention(range: NSRange(location: 1, length: 1), whom: alice.address)])
            await #expect { try await bob.send(nowhere, to: alice.address) } throws: { isInvalid($0) }
        }
    }

    @Test("retract what was sent and what was not", .timeLimit(.minutes(3)))
    func retract() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let withBob = try await alice.timeline(with: bob.address)
            let withAlice = try await bob.timeline(with: alice.address)
            let sent = try await alice.send("Nonsense", to: bob.address)
            _ = try await withAlice.messages { $0.count == 1 }
            try await alice.retract(sent)
            #expect(try await withAlice.messages { $0[0].isRetracted }[0].text == "")
            await #expect { try await alice.edit(sent, text: "Sense") } throws: { isInvalid($0) }

            try await alice.disconnect()
            let unsent = try await alice.send("More of it", to: bob.address)
            _ = try await withBob.messages { $0.count == 2 }
            try await alice.retract(unsent)
            _ = try await withBob.messages { $0.count == 1 }
            try await alice.send("the last", to: bob.address)
            try await alice.connect()
            #expect(try await withAlice.messages { $0.count == 2 }.map(\.text) == ["", "the last"])
        }
    }

    @Test("retry what was not to leave so late", .timeLimit(.minutes(3)))
    func retry() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let withBob = try await alice.timeline(with: bob.address)
            try await alice.disconnect()
            let id = try await alice.send(Outgoing("now or never", notAfter: Date().addingTimeInterval(0.05)), to: bob.address)
            let failed = try await withBob.messages { if case .failed = $0.first?.state { true } else { false } }
            #expect(failed.map(\.id) == [id])
            try await alice.retry(id)
            #expect(try await withBob.messages { if case .failed = $0[0].state { false } else { true } }[0].state == .queued)
            await #expect { try await alice.retry(id) } throws: { isInvalid($0) }
            try await alice.connect()
            let received = try await bob.timeline(with: alice.address).messages { !$0.isEmpty }
            #expect(received.map(\.text) == ["now or never"])
        }
    }

    @Test("a draft, a pin and a mute survive a restart", .timeLimit(.minutes(3)))
    func decisions() async throws {
        try await World.play { world in
            let (client, before) = try await world.signedIn("alice")
            let bob = try await world.account("bob")
            let carol = try await world.account("carol")
            let dave = try await world.account("dave")
            let asked = try await before.send("Wilt thou be gone?", to: bob)
            for friend in [carol, dave] { try await before.send("Farewell!", to: friend) }
            let draft = Draft(text: "It was the lark", replyTo: asked)
            let tomorrow = Date(timeIntervalSince1970: (Date().timeIntervalSince1970 + 86_400).rounded())
            try await before.setDraft(draft, with: bob)
            try await before.setPinned(true, with: bob)
            try await before.setMuted(.until(tomorrow), with: bob)
            try await before.setMuted(.forEver, with: carol)
            try await before.setNotify(.onMention, with: carol)
            try await before.setArchived(true, with: dave)
            try await world.close(client)

            let after = try #require(try await world.client(before.address).account(before.address))
            let lines = try #require(try await after.conversations.items.first { !$0.isEmpty })
            #expect(lines.map(\.with) == [bob, carol, dave])
            #expect(lines.map(\.draft) == [draft, nil, nil])
            #expect(lines.map(\.isPinned) == [true, false, false])
            #expect(lines.map(\.muted) == [.until(tomorrow), .forEver, nil])
            #expect(lines.map(\.notify) == [.always, .onMention, .always])
            #expect(lines.map(\.isArchived) == [false, false, true])

            // It ends with being sent; the rest is taken back.
            try await after.send(draft.text, to: bob)
            try await after.setPinned(false, with: bob)
            try await after.setMuted(nil, with: bob)
            let line = try await after.line(bob) { !$0.isPinned && $0.muted == nil }
            #expect(line.draft == nil)
        }
    }

    @Test("search, and open a hit where it stands", .timeLimit(.minutes(2)))
    func search() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let bob = try await world.account("bob")
            try await door("say \(bob.prefix { $0 != "@" }) \(alice.address) 300")
            _ = try await alice.line(bob) { $0.last?.text == "300" }

            // A word may go on: 12, 120 to 129.
            var found = try await alice.search(Search("12", with: bob), limit: 4)
            var hits = found.hits
            while let next = found.next {
                found = try await alice.search(Search("12", with: bob), before: next, limit: 4)
                hits += found.hits
            }
            #expect(hits.map(\.message.text) == (1...300).map { "\($0)" }.filter { $0.hasPrefix("12") }.reversed())
            for hit in hits {
                let marked = try hit.matches.map { hit.message.text[try #require(Range($0, in: hit.message.text))] }
                #expect(!marked.isEmpty && marked.allSatisfy { $0.hasPrefix("12") })
            }
            #expect(try await alice.search(Search("12", from: alice.address)).hits == [])

            let hit = try #require(try await alice.search(Search("123")).hits.first)
            let timeline = try await alice.timeline(with: bob, at: hit.id, limit: 5)
            #expect(try await timeline.messages { _ in true }.map(\.text) == (121...125).map { "\($0)" })
            try await timeline.older(limit: 2)
            #expect(try await timeline.newer(limit: 2))
            #expect(try await timeline.messages { _ in true }.map(\.text) == (119...127).map { "\($0)" })
            while try await timeline.newer(limit: 100) {}
            try await alice.send("the last", to: bob)
            let all = try await timeline.messages { $0.last?.text == "the last" }
            #expect(all.map(\.text) == (119...300).map { "\($0)" } + ["the last"])
            let nothing = UUID().uuidString.lowercased()
            await #expect(throws: WhimbrelError.notFound) { _ = try await alice.timeline(with: bob, at: nothing) }

            // What is deleted is neither shown nor found.
            try await alice.deleteMessage(hit.id)
            #expect(try await alice.search(Search("123")).hits == [])
            #expect(try await timeline.messages { _ in true }.allSatisfy { $0.text != "123" })
            try await alice.deleteConversation(with: bob)
            _ = try await alice.timeline(with: bob).messages { $0.isEmpty }
            await #expect(throws: WhimbrelError.notFound) { try await alice.deleteMessage(hit.id) }
        }
    }

    @Test("everything older than a moment is deleted here", .timeLimit(.minutes(3)))
    func deleteOlder() async throws {
        try await World.play { world in
            let (_, phone) = try await world.signedIn("alice")
            let tablet = try await world.device("tablet", of: phone)
            let (_, bob) = try await world.signedIn("bob")
            let carol = try await world.account("carol")
            let withBob = try await phone.timeline(with: bob.address)
            let withCarol = try await phone.timeline(with: carol)
            try await phone.send("old", to: bob.address)
            _ = try await bob.timeline(with: phone.address).messages { $0.count == 1 }
            try await bob.send("as old", to: phone.address)
            try await phone.send("older", to: carol)
            let old = try await withBob.messages { $0.count == 2 } + withCarol.messages { $0.count == 1 }
            let moment = try #require(old.map(\.at).max()).addingTimeInterval(0.001)
            try await until { Date() >= moment }
            try await bob.send("new", to: phone.address)
            _ = try await withBob.messages { $0.count == 3 }

            try await phone.deleteAll(before: moment)
            #expect(try await withBob.messages { $0.count == 1 }.map(\.text) == ["new"])
            #expect(try await phone.conversations.items.first { $0.count == 1 }?.map(\.with) == [bob.address])
            #expect(try await phone.search(Search("old")).hits == [])
            // Here alone; and what others have does not bring it back.
            let left = try await tablet.timeline(with: bob.address).messages { $0.count == 3 }
            #expect(left.map(\.text) == ["old", "as old", "new"])
            #expect(try await tablet.timeline(with: carol).messages { $0.count == 1 }.map(\.text) == ["older"])
            try await phone.disconnect()
            try await phone.connect()
            try await phone.sync(timeout: .seconds(30))
            #expect(try await withBob.messages { _ in true }.map(\.text) == ["new"])
            #expect(try await withCarol.messages { _ in true }.isEmpty)
        }
    }

    @Test("read on one device is read on the other", .timeLimit(.minutes(3)))
    func readElsewhere() async throws {
        try await World.play { world in
            let (_, phone) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            let tablet = try await world.device("tablet", of: phone)
            try await bob.send("Wherefore art thou?", to: phone.address)
            for device in [phone, tablet] { _ = try await device.line(bob.address) { $0.unread == 1 } }
            try await phone.markRead(bob.address)
            _ = try await tablet.line(bob.address) { $0.unread == 0 }
        }
    }
}
