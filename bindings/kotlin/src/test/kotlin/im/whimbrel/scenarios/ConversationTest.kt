package im.whimbrel.scenarios

import im.whimbrel.Account
import im.whimbrel.ChatState
import im.whimbrel.Conversation
import im.whimbrel.Cursor
import im.whimbrel.Draft
import im.whimbrel.FoundIn
import im.whimbrel.Hit
import im.whimbrel.Message
import im.whimbrel.Mute
import im.whimbrel.Notify
import im.whimbrel.Scenario
import im.whimbrel.Search
import im.whimbrel.Timeline
import im.whimbrel.TimelineItem
import im.whimbrel.WhimbrelException
import im.whimbrel.assertFails
import im.whimbrel.befriend
import im.whimbrel.direct
import im.whimbrel.door
import im.whimbrel.messages
import im.whimbrel.person
import im.whimbrel.texts
import java.util.UUID
import kotlin.time.Clock
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class ConversationTest : Scenario() {
    @Test
    fun `typing is seen, and forgotten`() = play {
        val alice = online("alice")
        val bob = online("bob")
        befriend(alice.account, bob.account)
        alice.account.send("But soft,", bob.address)
        bob.account.line(alice.address) { it.last?.text == "But soft," }
        for (state in listOf(ChatState.COMPOSING, ChatState.PAUSED, ChatState.COMPOSING)) {
            alice.account.setChatState(state, bob.address)
            bob.account.line(alice.address) { it.chatState == state }
        }
        // It ends with what was typed.
        alice.account.send("what light?", bob.address)
        bob.account.line(alice.address) { it.last?.text == "what light?" && it.chatState == ChatState.ACTIVE }
        // Or with her going.
        alice.account.setChatState(ChatState.COMPOSING, bob.address)
        bob.account.line(alice.address) { it.chatState == ChatState.COMPOSING }
        alice.account.disconnect()
        bob.account.line(alice.address) { it.chatState == null }
        assertFails<WhimbrelException.Offline> { alice.account.setChatState(ChatState.COMPOSING, bob.address) }
    }

    @Test
    fun `a draft, a pin and a mute survive a restart`() = play {
        val before = online("alice")
        val (bob, carol, dave) = List(3) { person("friend") }
        val asked = before.account.send("Wilt thou be gone?", bob)
        for (with in listOf(carol, dave)) before.account.send("Farewell!", with)
        val draft = Draft("It was the lark", replyTo = asked)
        val tomorrow = Instant.fromEpochMilliseconds((Clock.System.now() + 24.hours).toEpochMilliseconds())
        before.account.setDraft(draft, bob)
        before.account.setPinned(true, bob)
        before.account.setMuted(Mute.Until(tomorrow), bob)
        before.account.setMuted(Mute.ForEver, carol)
        before.account.setNotify(Notify.ON_MENTION, carol)
        before.account.setArchived(true, dave)
        before.client.close()

        val after = checkNotNull(open("alice").account(before.address))
        val lines = after.conversations.items.first { it.isNotEmpty() }
        assertEquals(listOf(bob, carol, dave), lines.map { it.with })
        assertEquals(listOf(draft, null, null), lines.map { it.draft })
        assertEquals(listOf(true, false, false), lines.map { it.pinned })
        assertEquals(listOf(Mute.Until(tomorrow), Mute.ForEver, null), lines.map { it.muted })
        assertEquals(listOf(Notify.ALWAYS, Notify.ON_MENTION, Notify.ALWAYS), lines.map { it.notify })
        assertEquals(listOf(false, false, true), lines.map { it.archived })

        // It ends with being sent; the rest is taken back.
        after.send(draft.text, bob)
        after.setPinned(false, bob)
        after.setMuted(null, bob)
        val line = after.line(bob) { !it.pinned && it.muted == null }
        assertEquals(null, line.draft)
    }

    @Test
    fun `search, and open a hit where it stands`() = play {
        val alice = online("alice")
        val bob = person("bob")
        door("say ${bob.substringBefore('@')} ${alice.address} 300")
        alice.account.line(bob) { it.last?.text == "300" }

        // A word may go on: 12, 120 to 129.
        val hits = mutableListOf<Hit>()
        var before: Cursor? = null
        do {
            val found = alice.account.search(Search("12", with = bob), limit = 4, before = before)
            hits += found.hits
            before = found.next
        } while (before != null)
        assertEquals((1..300).filter { "$it".startsWith("12") }.reversed().map { "$it" }, hits.map { it.message.text })
        assertTrue(hits.all { hit -> hit.matches.isNotEmpty() && hit.matches.all { hit.message.text.substring(it).startsWith("12") } })
        assertEquals(emptyList<Hit>(), alice.account.search(Search("12", from = alice.address)).hits)

        val hit = alice.account.search(Search("123")).hits.single()
        val timeline = alice.account.timeline(bob, limit = 5, at = hit.message.id)
        assertEquals((121..125).map { "$it" }, timeline.texts())
        timeline.older(2)
        assertTrue(timeline.newer(2))
        assertEquals((119..127).map { "$it" }, timeline.texts())
        while (timeline.newer(100)) Unit
        alice.account.send("the last", bob)
        timeline.items.first { texts(it).last() == "the last" }
        assertEquals((119..300).map { "$it" } + "the last", timeline.texts())
        assertFails<WhimbrelException.NotFound> { alice.account.timeline(bob, at = UUID.randomUUID().toString()) }

        // What is deleted is neither shown nor found.
        alice.account.deleteMessage(hit.message.id)
        assertEquals(emptyList<Hit>(), alice.account.search(Search("123")).hits)
        assertTrue("123" !in timeline.texts())
        alice.account.deleteConversation(bob)
        alice.account.messages(bob) { it.isEmpty() }
        assertFails<WhimbrelException.NotFound> { alice.account.deleteMessage(hit.message.id) }
    }

    @Test
    fun `everything older than a moment is deleted here`() = play {
        val phone = online("alice")
        val tablet = device("tablet", phone.address).also { it.signIn() }
        val bob = online("bob")
        val carol = person("carol")
        phone.account.send("old", bob.address)
        bob.account.texts(phone.address, 1)
        bob.account.send("as old", phone.address)
        phone.account.send("older", carol)
        val old = phone.account.messages(bob.address) { it.size == 2 } + phone.account.messages(carol) { it.size == 1 }
        val moment = old.maxOf { it.at } + 1.milliseconds
        while (Clock.System.now() < moment) delay(1.milliseconds)
        bob.account.send("new", phone.address)
        phone.account.texts(bob.address, 3)

        phone.account.deleteBefore(moment)
        assertEquals(listOf("new"), phone.account.texts(bob.address, 1))
        assertEquals(listOf(bob.address), phone.account.conversations.items.first { it.size == 1 }.map { it.with })
        assertEquals(emptyList<Hit>(), phone.account.search(Search("old")).hits)
        // Here alone; and what others have does not bring it back.
        assertEquals(listOf("old", "as old", "new"), tablet.account.texts(bob.address, 3))
        assertEquals(listOf("older"), tablet.account.texts(carol, 1))
        phone.account.disconnect()
        phone.account.connect()
        phone.account.sync(60.seconds)
        assertEquals(listOf("new"), phone.account.texts(bob.address, 1))
        assertEquals(emptyList<String>(), phone.account.texts(carol, 0))
    }

    @Test
    fun `read on one device is read on the other`() = play {
        val phone = online("alice")
        val tablet = device("tablet", phone.address).also { it.signIn() }
        val bob = online("bob")
        bob.account.send("Wherefore art thou?", phone.address)
        for (device in listOf(phone, tablet)) device.account.line(bob.address) { it.unread == 1L }
        phone.account.markRead(bob.address)
        tablet.account.line(bob.address) { it.unread == 0L }
    }

    @Test
    fun `settings agree on two devices`() = play {
        val phone = online("alice")
        val tablet = device("tablet", phone.address).also { it.signIn() }
        val (bob, carol) = List(2) { person("friend") }
        phone.account.send("Good night, good night!", bob)
        phone.account.setPinned(true, bob)
        phone.account.setNotify(Notify.ON_MENTION, bob)
        // With whom nothing was said yet.
        phone.account.setPinned(true, carol)
        tablet.account.line(bob) { it.pinned && it.notify == Notify.ON_MENTION }
        tablet.account.line(carol) { it.pinned && it.last == null }

        // What was decided offline is told once there is a connection, and leaves the rest.
        tablet.account.disconnect()
        tablet.account.setMuted(Mute.ForEver, bob)
        tablet.account.setArchived(true, bob)
        phone.account.setPinned(false, carol)
        tablet.account.connect()
        for (device in listOf(phone, tablet)) {
            val line = device.account.line(bob) { it.muted == Mute.ForEver && it.archived }
            assertTrue(line.pinned && line.notify == Notify.ON_MENTION, "$line")
            device.account.conversations.items.first { all -> all.none { it.with == carol } }
        }
    }

    @Test
    fun `search in all accounts`() = play {
        val both = open("both")
        val accounts = List(2) { both.addAccount(person("alice"), direct()) }
        val bob = person("bob")
        val said = (0..<25).associate { number ->
            val account = accounts[if (number % 3 == 0) 0 else 1]
            account.send("number $number", bob)
            "number $number" to account.address
        }
        val found = mutableListOf<FoundIn>()
        do {
            val page = both.search(Search("number"), limit = 4, before = found.lastOrNull())
            found += page
        } while (page.isNotEmpty())
        assertEquals(25, found.size)
        assertEquals(said, found.associate { it.hit.message.text to it.account })
        val times = found.map { it.hit.message.at }
        assertEquals(times.sortedDescending(), times)
        assertEquals(listOf(said["number 7"]), both.search(Search("\"number 7\"")).map { it.account })
        assertEquals(emptyList<FoundIn>(), both.search(Search("letter")))
    }

    private suspend fun Account.line(with: String, so: (Conversation) -> Boolean): Conversation =
        conversations.items.first { all -> all.any { it.with == with && so(it) } }.first { it.with == with }

    private suspend fun Timeline.texts() = texts(items.first())

    private fun texts(items: List<TimelineItem>) = items.filterIsInstance<Message>().map { it.text }
}
