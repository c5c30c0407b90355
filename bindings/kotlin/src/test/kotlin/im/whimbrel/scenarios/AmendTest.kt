package im.whimbrel.scenarios

import im.whimbrel.Event
import im.whimbrel.Message
import im.whimbrel.Outgoing
import im.whimbrel.Scenario
import im.whimbrel.SendState
import im.whimbrel.TextSpan
import im.whimbrel.WhimbrelException
import im.whimbrel.assertFails
import im.whimbrel.messages
import im.whimbrel.texts
import java.util.UUID
import kotlin.time.Clock
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class AmendTest : Scenario() {
    @Test
    fun `edit what was sent and what was not`() = play {
        val alice = online("alice")
        val bob = online("bob")
        val sent = alice.account.send("It is the est", bob.address)
        bob.account.texts(alice.address, 1)
        alice.account.edit(sent, "It is the east")
        val seen = bob.account.messages(alice.address) { it.single().edited }.single()
        assertEquals("It is the east", seen.text)
        assertFails<WhimbrelException.InvalidInput> { bob.account.edit(seen.id, "It is the west") }
        alice.account.messages(bob.address) { it.single().change == null }

        alice.account.disconnect()
        val unsent = alice.account.send("She speks", bob.address)
        alice.account.edit(unsent, "She speaks")
        alice.account.edit(sent, "It is the west")
        val (first, second) = alice.account.messages(bob.address) { it.size == 2 && it.last().text == "She speaks" }
        assertEquals("It is the west", first.text)
        val change = checkNotNull(first.change)
        assertEquals(Message.Change.Kind.CORRECTION to SendState.Queued, change.kind to change.state)
        // Nobody has seen another text.
        assertTrue(!second.edited && second.change == null, "$second")
        alice.account.cancel(change.id)
        assertEquals("It is the east", alice.account.messages(bob.address) { it.first().change == null }.first().text)

        alice.account.connect()
        val all = bob.account.messages(alice.address) { it.size == 2 }
        assertEquals(listOf("It is the east" to true, "She speaks" to false), all.map { it.text to it.edited })
    }

    @Test
    fun `react and take it back`() = play {
        val alice = online("alice")
        val bob = online("bob")
        val id = alice.account.send("But soft, what light?", bob.address)
        val theirs = bob.account.messages(alice.address) { it.isNotEmpty() }.single()
        val told = async(start = CoroutineStart.UNDISPATCHED) { alice.account.events.filterIsInstance<Event.Changed>().first() }
        bob.account.react(theirs.id, listOf("☀", "❤"))
        val changed = told.await().message
        assertEquals(id, changed.id)
        assertEquals(listOf(Message.Reaction("☀", 1, false), Message.Reaction("❤", 1, false)), changed.reactions)

        alice.account.react(id, listOf("☀"))
        val both = bob.account.messages(alice.address) { it.single().reactions.any { felt -> felt.count == 2 } }.single()
        assertEquals(setOf(Message.Reaction("☀", 2, true), Message.Reaction("❤", 1, true)), both.reactions.toSet())
        bob.account.react(theirs.id, emptyList())
        val left = alice.account.messages(bob.address) { it.single().reactions.size == 1 }.single()
        assertEquals(listOf(Message.Reaction("☀", 1, true)), left.reactions)
        assertFails<WhimbrelException.NotFound> { bob.account.react(UUID.randomUUID().toString(), listOf("☀")) }
        assertFails<WhimbrelException.InvalidInput> { bob.account.react(theirs.id, listOf("")) }
    }

    @Test
    fun `answer a message`() = play {
        val alice = online("alice")
        val bob = online("bob")
        val asked = alice.account.send("Wilt thou be gone?", bob.address)
        val theirs = bob.account.messages(alice.address) { it.isNotEmpty() }.single()
        val link = Message.Link("https://a.test/lark", "a lark")
        val text = "\ud83d\udc26 It was the lark, Alice"
        val name = Outgoing.Mention(text.indexOf("Alice"), text.length, alice.address)
        val what = Outgoing(
            text,
            replyTo = theirs.id,
            spoiler = "birds",
            thread = Message.Thread("dawn", parent = "night"),
            links = listOf(link),
            mentions = listOf(name),
        )
        val id = bob.account.send(what, alice.address)
        assertEquals(id, bob.account.send(what, alice.address, id))
        for ((account, with, answers) in listOf(
            Triple(alice.account, bob.address, asked),
            Triple(bob.account, alice.address, theirs.id),
        )) {
            val answer = account.messages(with) { it.size == 2 }.last()
            assertEquals(text, answer.text)
            assertEquals(listOf(TextSpan(name.start, name.end, TextSpan.Style.Mention(alice.address))), answer.spans)
            assertEquals(Message.ReplyTo(answers, "Wilt thou be gone?"), answer.reply)
            assertEquals("birds" to Message.Thread("dawn", parent = "night"), answer.spoiler to answer.thread)
            assertEquals(listOf(link), answer.links)
        }
        assertFails<WhimbrelException.NotFound> { bob.account.send(Outgoing("?", replyTo = UUID.randomUUID().toString()), alice.address) }
        val nowhere = Outgoing("?", mentions = listOf(Outgoing.Mention(1, 2, alice.address)))
        assertFails<WhimbrelException.InvalidInput> { bob.account.send(nowhere, alice.address) }
    }

    @Test
    fun `retract what was sent and what was not`() = play {
        val alice = online("alice")
        val bob = online("bob")
        val sent = alice.account.send("Nonsense", bob.address)
        bob.account.texts(alice.address, 1)
        alice.account.retract(sent)
        val gone = bob.account.messages(alice.address) { it.single().retracted }.single()
        assertEquals("", gone.text)
        assertFails<WhimbrelException.InvalidInput> { alice.account.edit(sent, "Sense") }

        alice.account.disconnect()
        val unsent = alice.account.send("More of it", bob.address)
        alice.account.messages(bob.address) { it.size == 2 }
        alice.account.retract(unsent)
        alice.account.messages(bob.address) { it.size == 1 }
        alice.account.send("the last", bob.address)
        alice.account.connect()
        assertEquals(listOf("", "the last"), bob.account.texts(alice.address, 2))
    }

    @Test
    fun `retry what was not to leave so late`() = play {
        val alice = online("alice")
        val bob = online("bob")
        alice.account.disconnect()
        val id = alice.account.send(Outgoing("now or never", notAfter = Clock.System.now() + 50.milliseconds), bob.address)
        val failed = alice.account.messages(bob.address) { it.singleOrNull()?.state is SendState.Failed }.single()
        assertEquals(id, failed.id)
        alice.account.retry(id)
        assertEquals(SendState.Queued, alice.account.messages(bob.address) { it.single().state !is SendState.Failed }.single().state)
        assertFails<WhimbrelException.InvalidInput> { alice.account.retry(id) }
        alice.account.connect()
        assertEquals(listOf("now or never"), bob.account.texts(alice.address, 1))
    }
}
