import Foundation
import Testing
import Whimbrel

/// Of this suite alone.
private let game = "urn:whimbrel:test:chess"
private let play = "urn:whimbrel:test:play"

extension OverARealServer {
    @Test("browse a service and run a command of it", .timeLimit(.minutes(3)))
    func services() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let server = try await alice.info(of: "a.test")
            #expect(server.identities.contains { $0.category == "server" && $0.kind == "im" })
            #expect(server.features.contains("urn:xmpp:ping"))
            let parts = try await alice.items(of: "a.test")
            #expect(parts.entities.contains { $0.address == "muc.a.test" })
            #expect(try await alice.info(of: "muc.a.test").identities.contains { $0.category == "conference" })
            await #expect { _ = try await alice.info(of: "a.test", node: "urn:nowhere") } throws: { isRefused($0) }

            let nodes = try await alice.commands(of: "a.test").map(\.node)
            #expect(nodes.contains("uptime") && nodes.contains("urn:xmpp:invite#invite"))
            // One step, and a note.
            let uptime = try await alice.execute("uptime", of: "a.test")
            let stage = try await uptime.stage
            #expect(stage.status == .completed)
            #expect(stage.notes.first?.kind == .info && stage.notes.first?.text.contains("running") == true)
            await #expect { try await uptime.complete() } throws: { isInvalid($0) }
            // One step, and a form.
            let invited = try await alice.execute("urn:xmpp:invite#invite", of: "a.test").stage
            #expect(invited.status == .completed && invited.form?.kind == .result)
            #expect(invited.form?["uri"]?.values.first?.hasPrefix("xmpp:") == true)
            // Not for everybody.
            let admin = "http://jabber.org/protocol/admin#add-user"
            await #expect { _ = try await alice.execute(admin, of: "a.test") } throws: { isRefused($0) }
        }
    }

    @Test("a question in a namespace of one's own is answered", .timeLimit(.minutes(3)))
    func questions() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await alice.claim(game, for: .requests)
            await #expect { try await alice.claim("", for: .requests) } throws: { isInvalid($0) }
            try await alice.send("Shall we play?", to: bob.address)
            let device = try await bob.timeline(with: alice.address).messages { $0.count == 1 }[0].from
            let move = "<move xmlns='\(game)'>e4 &lt; e5</move>"
            // To a stranger it is as if nobody were there.
            await #expect { try await bob.request(move, of: device, kind: .set) } throws: { isRefused($0) }
            try await world.befriend(alice, bob)

            var events = alice.events.makeAsyncIterator()
            let asking = Task { try await bob.request(move, of: device, kind: .set) }
            let asked = try await events.first { if case .asked(let asked) = $0 { asked } else { nil } }
            #expect(asked.from?.hasPrefix("\(bob.address)/") == true && asked.kind == .set)
            #expect(asked.xml.contains(game) && asked.xml.contains("e4 &lt; e5"))
            await #expect { try await alice.answer(asked, with: .result(xml: "<ok>")) } throws: { isInvalid($0) }
            try await alice.answer(asked, with: .result(xml: "<ok xmlns='\(game)'/>"))
            #expect(try await asking.value?.contains("<ok") == true)
            await #expect(throws: WhimbrelError.notFound) { try await alice.answer(asked, with: .result(xml: nil)) }

            let refused = Task { try await bob.request("<move xmlns='\(game)'/>", of: device) }
            let again = try await events.first { if case .asked(let asked) = $0 { asked } else { nil } }
            #expect(again.kind == .get)
            try await alice.answer(again, with: .refusal(condition: "not-acceptable"))
            await #expect { _ = try await refused.value } throws: { isRefused($0, "not-acceptable") }
        }
    }

    @Test("payloads come in order, each once, over a cut", .timeLimit(.minutes(3)))
    func payloads() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice", over: linked())
            let (_, bob) = try await world.signedIn("bob", over: linked())
            for player in [alice, bob] { try await player.claim(game, for: .messages) }
            try await world.befriend(alice, bob)
            await #expect { try await alice.sendPayload("<move xmlns='urn:x'/>", to: bob.address) } throws: { isInvalid($0) }

            var events = bob.events.makeAsyncIterator()
            var told: [Payload] = []
            let ids = (0..<30).map { _ in UUID().uuidString.lowercased() }
            for (number, id) in ids.enumerated() {
                if number % 10 == 5 { try await door("cut") }
                let move = "<move xmlns='\(game)' n='\(number)'/>"
                // As whoever does not know whether it was taken.
                for _ in 0..<2 { #expect(try await alice.sendPayload(move, to: bob.address, id: id) == id) }
            }
            while told.count < ids.count {
                told.append(try await events.first { if case .newPayload(let payload) = $0 { payload } else { nil } })
            }
            #expect(told.allSatisfy { !$0.isMine && $0.state == nil && $0.namespace == game && $0.with == alice.address })
            for player in [alice, bob] { try await player.sync(timeout: .seconds(30)) }

            let numbers = (0..<30).map { "n='\($0)'" }
            for (player, other) in [(alice, bob), (bob, alice)] {
                var moves: [Payload] = []
                while true {
                    let page = try await player.payloads(
                        with: other.address, namespace: game, after: moves.last?.id, limit: 7)
                    if page.isEmpty { break }
                    moves += page
                }
                #expect(moves.count == numbers.count)
                for (move, number) in zip(moves, numbers) { #expect(move.xml.replacing("\"", with: "'").contains(number)) }
                #expect(moves.allSatisfy { $0.isMine == (player === alice) })
                if player === alice { #expect(moves.map(\.id) == ids) } else { #expect(Set(moves.map(\.id)) == Set(told.map(\.id))) }
            }
            // Nobody reads them as texts.
            #expect(try await bob.timeline(with: alice.address).messages { _ in true }.isEmpty)
        }
    }

    @Test("publish a node and follow it", .timeLimit(.minutes(3)))
    func node() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await world.befriend(alice, bob)
            try await bob.follow(play)
            try await bob.sync(timeout: .seconds(30))
            var events = bob.events.makeAsyncIterator()
            let hers = try alice.node(play)
            #expect(hers.name == play && hers.of == alice.address)
            for number in 1...5 {
                let act = "<act xmlns='urn:whimbrel:test' n='\(number)'>a &lt; b</act>"
                #expect(try await hers.publish(act, id: "i\(number)", options: .public) == "i\(number)")
            }
            let heard = try await events.first { event -> NodeItem? in
                if case .published(alice.address, play, let items) = event { items.first { $0.id == "i5" } } else { nil }
            }
            #expect(heard.payload?.contains("a &lt; b") == true)

            // He reads them all, or one.
            let theirs = try bob.node(play, of: alice.address)
            var seen: Set<String> = []
            var page = try await theirs.items(limit: 2)
            seen.formUnion(page.items.map(\.id))
            while let next = page.next {
                page = try await theirs.items(after: next, limit: 2)
                seen.formUnion(page.items.map(\.id))
            }
            #expect(seen == ["i1", "i2", "i3", "i4", "i5"])
            #expect(try await theirs.item("i3")?.payload?.contains("<act") == true)
            #expect(try await theirs.item("i9") == nil)
            await #expect { try await theirs.publish("<act xmlns='urn:whimbrel:test'/>") } throws: { isRefused($0) }
            await #expect { try await hers.publish("<act>") } throws: { isInvalid($0) }

            try await hers.retract("i3")
            let gone = try await events.first { event -> [String]? in
                if case .retracted(alice.address, play, let ids) = event { ids } else { nil }
            }
            #expect(gone == ["i3"])

            // He subscribes; both see it, and she ends it.
            #expect(try await theirs.subscribe() == .subscribed)
            let isSubscribed = { (one: NodeSubscription) in one.address == bob.address && one.state == .subscribed }
            #expect(try await hers.subscribers().contains(where: isSubscribed))
            #expect(try await bob.subscriptions(at: alice.address, node: play).contains(where: isSubscribed))
            let options = try await theirs.subscriptionOptions().filled(["pubsub#include_body": ["true"]])
            try await theirs.configureSubscription(options)
            try await hers.setSubscriber(bob.address, .neither)
            #expect(try await !hers.subscribers().contains(where: isSubscribed))

            // From now on for her own devices only: the node is changed on the way.
            try await hers.publish("<act xmlns='urn:whimbrel:test'/>", id: "secret", options: .private)
            #expect(try await hers.configuration().values["access_model"] == "whitelist")
            await #expect { _ = try await theirs.items() } throws: { isRefused($0) }
            // But for whom she lets in.
            try await hers.affiliate(bob.address, .member)
            #expect(try await hers.affiliations()[bob.address] == .member)
            #expect(try await theirs.item("secret") != nil)
            try await hers.delete()
            await #expect { _ = try await hers.items() } throws: { isRefused($0, "item-not-found") }
        }
    }

    @Test("read, publish and follow a feed", .timeLimit(.minutes(3)))
    func feed() async throws {
        try await World.play { world in
            let (_, alice) = try await world.signedIn("alice")
            let (_, bob) = try await world.signedIn("bob")
            try await world.befriend(alice, bob)
            let hers = try alice.feed(of: alice.address)
            let theirs = try bob.feed(of: alice.address)
            var events = bob.events.makeAsyncIterator()
            /// Waits until the entries that are here have these titles.
            func shown(_ titles: [String]) async throws {
                while try await theirs.entries().map(\.title) != titles {
                    _ = try await events.first { $0 == .feedChanged(of: alice.address) ? true : nil }
                }
            }
            let day = Date(timeIntervalSince1970: 1_700_000_000)
            let link = FeedEntry.Link(href: "https://a.test/first", title: "more")
            let first = try await hers.publish(
                Post("first", text: "a < b", author: "Alice", published: day, links: [link]))
            // What was there before he follows her he fetches.
            #expect(try await theirs.entries() == [])
            try await theirs.refresh()
            try await shown(["first"])
            let entry = try await theirs.entries()[0]
            #expect(entry.id == first && entry.text == "a < b" && entry.author == "Alice")
            #expect(entry.published == day && entry.at == day && entry.links.contains(link))

            // What comes then he is told, in the order that she gives it.
            try await bob.followFeeds()
            try await bob.sync(timeout: .seconds(30))
            let third = try await hers.publish(Post("third", published: day + 3))
            try await shown(["third", "first"])
            let second = try await hers.publish(Post("second", published: day + 2))
            try await shown(["third", "second", "first"])
            #expect(try await theirs.entries(before: third, limit: 1).map(\.id) == [second])
            try await hers.publish(Post("The second", published: day + 2), id: second)
            try await shown(["third", "The second", "first"])
            try await hers.retract(second)
            try await shown(["third", "first"])

            // He reads it without a connection.
            try await bob.disconnect()
            #expect(try await theirs.entries().map(\.title) == ["third", "first"])
            await #expect(throws: WhimbrelError.offline) { try await theirs.refresh() }
            await #expect(throws: WhimbrelError.notFound) { _ = try await theirs.entries(before: "nothing") }
        }
    }

    @Test("search in all accounts", .timeLimit(.minutes(3)))
    func searchEverywhere() async throws {
        try await World.play { world in
            let client = try await world.client("phone")
            var accounts: [Account] = []
            for name in ["alice", "bob"] {
                let account = try await client.addAccount(world.account(name), connection: straight())
                try await account.signIn(password: "secret")
                accounts.append(account)
            }
            let carol = try await world.account("carol")
            for number in 0..<10 { try await accounts[number % 3 % 2].send("number \(number)", to: carol) }

            var found = try await client.search(Search("number"), limit: 4)
            var all = found
            while let last = found.last {
                found = try await client.search(Search("number"), before: last, limit: 4)
                all += found
            }
            #expect(Set(all.map(\.hit.message.text)) == Set((0..<10).map { "number \($0)" }))
            #expect(all.count == 10)
            #expect(all.map(\.hit.message.at) == all.map(\.hit.message.at).sorted(by: >))
            for found in all {
                let number = try #require(found.hit.message.text.split(separator: " ").last.flatMap { Int($0) })
                #expect(found.account == accounts[number % 3 % 2].address)
            }
            // One is opened where it stands.
            let oldest = try #require(all.last)
            let account = try #require(try client.account(oldest.account))
            let timeline = try await account.timeline(with: oldest.hit.message.with, at: oldest.hit.id, limit: 1)
            #expect(try await timeline.messages { _ in true }.map(\.id) == [oldest.hit.id])
            await #expect { _ = try await client.search(Search("number", with: "@")) } throws: { isInvalid($0) }
        }
    }
}
