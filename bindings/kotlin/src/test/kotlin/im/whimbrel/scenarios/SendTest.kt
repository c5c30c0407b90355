package im.whimbrel.scenarios

import im.whimbrel.Scenario
import im.whimbrel.SendState
import im.whimbrel.befriend
import im.whimbrel.messages
import im.whimbrel.texts
import java.util.UUID
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.yield
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class SendTest : Scenario() {
    @Test
    fun `send and see it queued, sent, delivered, displayed`() = play {
        val alice = online("alice")
        val bob = online("bob")
        befriend(alice.account, bob.account)

        // Offline first: pulled updates merge, so online the state Queued might have passed before we looked.
        alice.account.disconnect()
        val id = alice.account.send("But soft, what light?", bob.address)
        val queued = alice.account.messages(bob.address) { it.isNotEmpty() }.single()
        assertEquals(id to SendState.Queued, queued.id to queued.state)
        assertTrue(queued.mine)

        alice.account.connect()
        val sent = alice.account.messages(bob.address) { it.single().state != SendState.Queued }.single()
        assertTrue(sent.state == SendState.Sent || sent.state == SendState.Delivered, "${sent.state}")
        alice.account.messages(bob.address) { it.single().state == SendState.Delivered }

        assertEquals("But soft, what light?", bob.account.texts(alice.address, 1).single())
        bob.account.markRead(alice.address)
        val displayed = alice.account.messages(bob.address) { it.single().state == SendState.Displayed }.single()
        assertEquals(id, displayed.id)
    }

    @Test
    fun `repeat a send after a cancellation and it is one message`() = play {
        val alice = online("alice")
        val bob = online("bob")
        // Cancelled ever later: before it was taken, while it is, and after.
        val texts = (0 until 20).map { later ->
            val (text, id) = "once $later" to UUID.randomUUID().toString()
            val cancelled = launch(start = CoroutineStart.UNDISPATCHED) { alice.account.send(text, bob.address, id) }
            repeat(later * later) { yield() }
            cancelled.cancelAndJoin()
            assertEquals(id, alice.account.send(text, bob.address, id))
            text
        }
        alice.account.sync(60.seconds)
        assertEquals(texts, alice.account.texts(bob.address, texts.size))
        alice.account.send("the last", bob.address)
        assertEquals(texts + "the last", bob.account.texts(alice.address, texts.size + 1))
        bob.account.sync(60.seconds)
        assertEquals(texts + "the last", bob.account.texts(alice.address, texts.size + 1))
    }

    @Test
    fun `send offline, then reconnect`() = play {
        val alice = online("alice")
        val bob = online("bob")
        alice.account.disconnect()
        val texts = listOf("one", "two", "three")
        texts.forEach { alice.account.send(it, bob.address) }
        val queued = alice.account.messages(bob.address) { it.size == 3 }
        assertEquals(List(3) { SendState.Queued }, queued.map { it.state })

        alice.account.connect()
        alice.account.messages(bob.address) { all -> all.none { it.state == SendState.Queued } }
        assertEquals(texts, bob.account.texts(alice.address, 3))
        assertEquals(texts, alice.account.texts(bob.address, 3))
    }
}
