package im.whimbrel.scenarios

import im.whimbrel.Affiliation
import im.whimbrel.Answer
import im.whimbrel.ClaimKind
import im.whimbrel.CommandStage
import im.whimbrel.Device
import im.whimbrel.Event
import im.whimbrel.Form
import im.whimbrel.NodeOptions
import im.whimbrel.NodeSubscription
import im.whimbrel.Payload
import im.whimbrel.Post
import im.whimbrel.RequestKind
import im.whimbrel.Scenario
import im.whimbrel.SendState
import im.whimbrel.WhimbrelException
import im.whimbrel.assertFails
import im.whimbrel.befriend
import im.whimbrel.door
import im.whimbrel.heard
import im.whimbrel.messages
import im.whimbrel.overLink
import im.whimbrel.person
import java.util.UUID
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class ServiceTest : Scenario() {
    @Test
    fun `browse a service and run a command of it`() = play {
        val alice = online("alice").account
        val server = alice.info("a.test")
        assertTrue(server.identities.any { it.category == "server" } && "urn:xmpp:ping" in server.features, "$server")
        assertTrue(alice.itemsOf("a.test").entities.any { it.address == "muc.a.test" })
        assertTrue(alice.info("muc.a.test").identities.any { it.category == "conference" })
        assertFails<WhimbrelException.ServerRefused> { alice.info("a.test", node = "urn:nowhere") }

        val commands = alice.commandsOf("a.test").map { it.node }
        assertTrue(commands.containsAll(listOf("uptime", INVITE)), "$commands")
        val uptime = alice.execute("uptime", of = "a.test")
        val said = uptime.stage()
        assertEquals(CommandStage.Status.COMPLETED, said.status)
        assertTrue("running" in said.notes.single().text, "$said")
        assertFails<WhimbrelException.InvalidInput> { uptime.complete() }

        val form = checkNotNull(alice.execute(INVITE, of = "a.test").stage().form)
        assertEquals(Form.Kind.RESULT, form.kind)
        assertTrue(checkNotNull(form["uri"]).values.single().startsWith("xmpp:"), "$form")
        assertFails<WhimbrelException.ServerRefused> {
            alice.execute("http://jabber.org/protocol/admin#add-user", of = "a.test")
        }
    }

    @Test
    fun `a question in a namespace of one's own is answered`() = play {
        val alice = online("alice")
        val bob = online("bob")
        alice.account.claim(CHESS, ClaimKind.REQUESTS)
        // What she writes says from which device.
        alice.account.send("Hello", bob.address)
        val device = bob.account.messages(alice.address) { it.isNotEmpty() }.single().from
        val question = "<move xmlns='$CHESS'>e4 &lt; e5</move>"
        // A stranger is answered as if nobody were there.
        assertFails<WhimbrelException.ServerRefused> { bob.account.request(question, of = device, RequestKind.SET) }
        befriend(alice.account, bob.account)

        suspend fun asked(answer: Answer): Pair<Event.Asked, Result<String?>> {
            val asked = heard<Event.Asked>(alice.account)
            val reply = async { runCatching { bob.account.request(question, of = device, RequestKind.SET) } }
            val event = asked.await()
            alice.account.answer(event, answer)
            return event to reply.await()
        }
        val (event, reply) = asked(Answer.Result("<ok xmlns='$CHESS'/>"))
        assertTrue(event.from.orEmpty().startsWith("${bob.address}/") && event.kind == RequestKind.SET, "$event")
        assertTrue("e4 &lt; e5" in event.xml, event.xml)
        assertTrue("<ok" in reply.getOrThrow().orEmpty(), "$reply")
        assertFails<WhimbrelException.NotFound> { alice.account.answer(event, Answer.Result()) }
        val refused = asked(Answer.Refusal("not-acceptable")).second.exceptionOrNull()
        assertEquals("not-acceptable", (refused as? WhimbrelException.ServerRefused)?.condition, "$refused")
        assertEquals(null, asked(Answer.Result()).second.getOrThrow())
    }

    @Test
    fun `payloads come in order, each once, over a cut`() = play {
        val alice = device("alice", person("alice"), overLink())
        val bob = device("bob", person("bob"))
        for (player in listOf(alice, bob)) {
            player.account.claim(CHESS, ClaimKind.MESSAGES)
            player.signIn()
        }
        befriend(alice.account, bob.account)
        val told = listOf(alice, bob).map { player ->
            async(start = CoroutineStart.UNDISPATCHED) {
                val payloads = player.account.events.filterIsInstance<Event.NewPayload>().map { it.payload }
                payloads.take(2 * MOVES).toList()
            }
        }
        for (number in 1..MOVES) {
            for ((player, other) in listOf(alice to bob, bob to alice)) {
                val id = UUID.randomUUID().toString()
                // Whoever repeats a move has made it once.
                repeat(2) { assertEquals(id, player.account.sendPayload(move(number), other.address, id)) }
            }
            if (number % 5 == 0) door("cut")
        }
        for (all in told) {
            val seen = all.await()
            assertEquals(seen.size, seen.map { it.id }.toSet().size)
            for (mine in listOf(true, false)) assertEquals(moves(), seen.filter { it.mine == mine }.map { it.xml })
        }
        for ((player, other) in listOf(alice to bob, bob to alice)) {
            player.account.sync(60.seconds)
            val log = player.log(other)
            for (mine in listOf(true, false)) assertEquals(moves(), log.filter { it.mine == mine }.map { it.xml })
            assertTrue(log.all { it.with == other.address && it.namespace == CHESS && it.mine == (it.state != null) })
            assertTrue(log.none { it.state is SendState.Failed })
            // Nobody is shown them.
            assertEquals(emptyList<String>(), player.account.messages(other.address) { true }.map { it.text })
        }
    }

    private suspend fun Device.log(other: Device): List<Payload> {
        val all = mutableListOf<Payload>()
        do {
            val page = account.payloads(other.address, CHESS, limit = 7, after = all.lastOrNull()?.id)
            all += page
        } while (page.isNotEmpty())
        return all
    }

    private fun move(number: Int) = "<move xmlns='$CHESS' number='$number'/>"

    private fun moves() = (1..MOVES).map(::move)

    @Test
    fun `publish a node and follow it`() = play {
        val alice = online("alice")
        val bob = online("bob")
        befriend(alice.account, bob.account)
        bob.account.follow(PLAY)
        bob.account.sync(60.seconds)
        val ours = alice.account.node(PLAY)
        val theirs = bob.account.node(PLAY, of = alice.address)
        fun act(number: Int) = "<act xmlns='urn:whimbrel:test' n='$number'>a &lt; b</act>"

        // For everybody; a contact who follows hears of it.
        val published = heard<Event.Published>(bob.account) { event -> event.items.any { it.id == "i3" } }
        for (number in 1..3) assertEquals("i$number", ours.publish(act(number), id = "i$number", NodeOptions.public))
        val heard = published.await()
        assertEquals(alice.address to PLAY, heard.of to heard.node)
        assertTrue("a &lt; b" in heard.items.single().payload.orEmpty(), "$heard")
        val seen = mutableSetOf<String>()
        var after: String? = null
        do {
            val page = theirs.items(limit = 2, after)
            seen += page.items.map { it.id }
            after = page.next
        } while (after != null)
        assertEquals(setOf("i1", "i2", "i3"), seen)
        assertEquals("i2", theirs.item("i2")?.id)
        assertEquals(null, theirs.item("i9"))
        assertFails<WhimbrelException.InvalidInput> { ours.publish("no element") }

        val retracted = heard<Event.Retracted>(bob.account)
        ours.retract("i2")
        assertEquals(Event.Retracted(alice.address, PLAY, listOf("i2")), retracted.await())

        // He subscribes; both see it, and she ends it.
        assertEquals(NodeSubscription.State.SUBSCRIBED, theirs.subscribe())
        val subscription = NodeSubscription(PLAY, bob.address, NodeSubscription.State.SUBSCRIBED)
        assertTrue(subscription in ours.subscribers())
        assertEquals(listOf(subscription), bob.account.subscriptionsAt(alice.address, PLAY))
        val options = theirs.subscriptionOptions()
        theirs.configureSubscription(options.filled(mapOf("pubsub#include_body" to listOf("true"))))
        ours.setSubscriber(bob.address, NodeSubscription.State.NONE)
        assertFalse(subscription in ours.subscribers())

        // From now on for her own devices only: the node is changed on the way.
        ours.publish(act(4), options = NodeOptions.private)
        assertEquals("whitelist", ours.configuration().values["access_model"])
        assertFails<WhimbrelException.ServerRefused> { theirs.items() }
        ours.affiliate(bob.address, Affiliation.MEMBER)
        assertEquals(Affiliation.MEMBER, ours.affiliations()[bob.address])
        assertEquals(3, theirs.items().items.size)
        ours.delete()
        assertFails<WhimbrelException.ServerRefused> { ours.items() }
    }

    @Test
    fun `read, publish and follow a feed`() = play {
        val alice = online("alice")
        val bob = online("bob")
        befriend(alice.account, bob.account)
        val ours = alice.account.feed(alice.address)
        val theirs = bob.account.feed(alice.address)
        fun at(seconds: Long) = Instant.fromEpochSeconds(1_700_000_000 + seconds)
        suspend fun titles() = theirs.entries().map { it.title }
        suspend fun changing(act: suspend () -> Unit) {
            val changed = heard<Event.FeedChanged>(bob.account) { it.of == alice.address }
            act()
            changed.await()
        }

        // What was there before he follows her he fetches.
        val first = ours.publish(Post("first", text = "a < b", published = at(0)))
        changing { theirs.refresh() }
        val entry = theirs.entries().single()
        assertEquals(listOf(first, "first", "a < b"), listOf(entry.id, entry.title, entry.text))
        assertEquals(at(0), entry.published)
        // What comes then he is told, and it is in the order that she gives it.
        bob.account.followFeeds()
        bob.account.sync(60.seconds)
        changing { ours.publish(Post("third", published = at(3))) }
        val id = UUID.randomUUID().toString()
        changing { assertEquals(id, ours.publish(Post("seocnd", published = at(2)), id)) }
        changing { ours.publish(Post("second", published = at(2)), id) }
        assertEquals(listOf("third", "second", "first"), titles())
        assertEquals(listOf("first"), theirs.entries(before = id).map { it.title })
        changing { ours.retract(id) }
        // Without a connection, too.
        bob.account.disconnect()
        assertEquals(listOf("third", "first"), titles())
        assertFails<WhimbrelException.Offline> { theirs.refresh() }
        assertFails<WhimbrelException.NotFound> { theirs.entries(before = id) }
    }

    private companion object {
        const val CHESS = "urn:whimbrel:test:chess"
        const val PLAY = "urn:whimbrel:test:play"
        const val INVITE = "urn:xmpp:invite#invite"
        const val MOVES = 15
    }
}
