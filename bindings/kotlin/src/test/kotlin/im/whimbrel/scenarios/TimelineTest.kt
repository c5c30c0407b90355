package im.whimbrel.scenarios

import im.whimbrel.Message
import im.whimbrel.PASSWORD
import im.whimbrel.Scenario
import im.whimbrel.TextSpan
import im.whimbrel.TimelineItem
import im.whimbrel.applyTo
import im.whimbrel.door
import im.whimbrel.person
import java.io.File
import kotlin.time.Clock
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.flow.filter
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class TimelineTest : Scenario() {
    @Test
    fun `receive while subscribed`() = play {
        val alice = online("alice")
        val bob = online("bob")
        val empty = CompletableDeferred<Unit>()
        val received = async {
            alice.account.timeline(bob.address).items.onEach { if (it.isEmpty()) empty.complete(Unit) }.first { it.isNotEmpty() }
        }
        empty.await()
        bob.account.send("Ay me!", alice.address)
        val message = received.await().single() as Message
        assertEquals("Ay me!", message.text)
        assertEquals(bob.address, message.with)
        assertTrue(message.from.startsWith("${bob.address}/"), message.from)
        assertTrue(!message.mine && message.state == null && !message.placeholder, "$message")
        assertTrue(message.startsDay && message.startsGroup, "$message")
        assertTrue((Clock.System.now() - message.at).absoluteValue < 1.minutes, "now is not ${message.at}")
        val conversation = alice.account.conversations.items.first { it.isNotEmpty() }.single()
        assertEquals(bob.address to 1L, conversation.with to conversation.unread)
        assertEquals("Ay me!", conversation.last?.text)
    }

    @Test
    fun `see the styles and links of a message`() = play {
        val alice = online("alice")
        val bob = online("bob")
        bob.account.send("🌹 *this*: https://a.test/x.", alice.address)
        val message = alice.account.timeline(bob.address).items.first { it.isNotEmpty() }.single() as Message
        val spans = message.spans.filter { it.style != TextSpan.Style.Directive }
        val seen = spans.map { message.text.substring(it.start, it.end) to it.style }
        assertEquals(listOf("*this*" to TextSpan.Style.Strong, "https://a.test/x" to TextSpan.Style.Link("https://a.test/x")), seen)
        assertEquals(2, message.spans.size - spans.size)
        assertTrue(!message.isAction && !message.emojiOnly, "$message")
    }

    @Test
    fun `page back through a thousand messages`() = play {
        val (alice, bob) = person("alice") to person("bob")
        door("say ${bob.substringBefore('@')} $alice 1000")
        val device = device("alice", alice)
        device.account.signIn(PASSWORD)
        device.account.sync(60.seconds)
        val timeline = device.account.timeline(bob, limit = 50)
        var pages = 1
        while (timeline.older(50)) pages += 1
        assertEquals(numbers(1000), texts(timeline.items.first()))
        assertTrue(pages >= 1000 / 50, "only $pages pages")
    }

    @Test
    fun `hold the scroll position while new ones arrive`() = play {
        val alice = online("alice")
        val bob = person("bob")
        door("say ${bob.substringBefore('@')} ${alice.address} 100")
        val timeline = alice.account.timeline(bob, limit = 30)
        timeline.items.first { texts(it).lastOrNull() == "100" }
        val window = alice.account.timeline(bob, limit = 30)

        val shown = window.items.first()
        assertEquals(numbers(100).takeLast(30), texts(shown))
        val list = mutableListOf<TimelineItem>()
        val ready = CompletableDeferred<Unit>()
        val follower = async {
            window.updates.onEach { update ->
                if (!ready.complete(Unit)) {
                    for (splice in update.splices) assertTrue(splice.at >= shown.size, "$splice touches what is shown")
                }
                update.applyTo(list)
                assertEquals(shown.map { it.id }, list.take(shown.size).map { it.id })
            }.first { texts(list).count() >= 80 }
        }
        ready.await()
        door("say ${bob.substringBefore('@')} ${alice.address} 50")
        follower.await()
        assertEquals(numbers(100).takeLast(30) + numbers(50), texts(list))
        assertEquals(list, window.items.first())
    }

    @Test
    fun `ten thousand messages while the listener sleeps`() = play(limit = 600.seconds) {
        val alice = online("alice")
        val bob = person("bob")
        val timeline = alice.account.timeline(bob, limit = 50)
        val list = mutableListOf<TimelineItem>()
        val awake = CompletableDeferred<Unit>()
        val asleep = List(2) { CompletableDeferred<Unit>() }
        var updates = 0
        val folding = async {
            timeline.updates.onEach { update ->
                updates += 1
                update.applyTo(list)
                asleep[0].complete(Unit)
                awake.await()
            }.first { list.size >= 10_000 }
        }
        var lists = 0
        val following = async {
            timeline.items.onEach {
                lists += 1
                asleep[1].complete(Unit)
                awake.await()
            }.first { it.size >= 10_000 }
        }
        asleep.awaitAll()
        val before = memory()
        door("say ${bob.substringBefore('@')} ${alice.address} 10000")
        alice.account.conversations.items.filter { it.isNotEmpty() }.first { it.single().last?.text == "10000" }
        alice.account.sync(60.seconds)
        val grown = memory() - before
        println("ten thousand messages while the listener sleeps: ${grown / 1024} KiB more")
        assertTrue(grown < 64 * 1024 * 1024, "$grown bytes for a listener that sleeps")
        assertTrue(list.isEmpty(), "it was asleep")

        awake.complete(Unit)
        val last = following.await()
        folding.await()
        assertEquals(numbers(10_000), texts(list))
        assertEquals(timeline.items.first(), list)
        assertEquals(list, last)
        // The empty list, and all that came since as one.
        assertEquals(listOf(2, 2), listOf(updates, lists))
        assertEquals(10_000L, alice.account.conversations.items.first().single().unread)
    }

    private fun numbers(last: Int) = (1..last).map { "$it" }

    private fun texts(items: List<TimelineItem>) = items.filterIsInstance<Message>().map { it.text }

    /** In bytes: what lives in the heap, and what else is resident. All of the heap is from the start (see the pom). */
    private fun memory(): Long {
        System.gc()
        val runtime = Runtime.getRuntime()
        val resident = File("/proc/self/status").readLines().first { it.startsWith("RssAnon:") }.split(Regex("\\s+"))[1].toLong() * 1024
        return resident - runtime.totalMemory() + (runtime.totalMemory() - runtime.freeMemory())
    }
}
