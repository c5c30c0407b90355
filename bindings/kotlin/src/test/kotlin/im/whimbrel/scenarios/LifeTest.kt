package im.whimbrel.scenarios

import im.whimbrel.Child
import im.whimbrel.Event
import im.whimbrel.PASSWORD
import im.whimbrel.Scenario
import im.whimbrel.SendState
import im.whimbrel.Status
import im.whimbrel.WhimbrelException
import im.whimbrel.assertFails
import im.whimbrel.befriend
import im.whimbrel.door
import im.whimbrel.messages
import im.whimbrel.openFiles
import im.whimbrel.overLink
import im.whimbrel.person
import im.whimbrel.texts
import java.util.UUID
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LifeTest : Scenario() {
    @Test
    fun `suspend with no file open, and resume`() = play {
        val alice = online("alice")
        val bob = person("bob")
        val following = begun(alice.account.timeline(bob).items)
        assertTrue(openFiles(directory).isNotEmpty(), "nothing is open while it runs")
        alice.client.suspend(10.seconds)
        assertEquals(emptyList<String>(), openFiles(directory))
        assertFails<WhimbrelException.Suspended> { alice.account.send("?", bob) }
        alice.client.suspend(10.seconds)

        alice.client.resume()
        val id = alice.account.send("But soft, what light?", bob)
        val sent = alice.account.messages(bob) { it.isNotEmpty() && it.last().state == SendState.Sent }
        assertEquals(listOf(id), sent.map { it.id })
        assertTrue(following.isActive)
        following.cancelAndJoin()
    }

    @Test
    fun `wake up with something to withdraw`() = play {
        val alice = online("alice")
        val bob = online("bob")
        befriend(alice.account, bob.account)
        alice.account.sync(60.seconds)
        alice.client.suspend(10.seconds)
        bob.account.send("But soft, what light?", alice.address)
        bob.account.sync(60.seconds)

        val news = alice.client.wakeUp(alice.address, 60.seconds)
        assertEquals(listOf("But soft, what light?"), news.notify.map { it.text })
        assertEquals(emptyList<String>(), news.withdraw)
        assertTrue(news.complete && news.unread == 1L, "$news")

        val other = device("alice-too", alice.address)
        other.account.signIn(PASSWORD)
        other.account.sync(60.seconds)
        other.account.texts(bob.address, 1)
        other.account.markRead(bob.address)
        other.account.sync(60.seconds)

        val read = alice.client.wakeUp(alice.address, 60.seconds)
        assertEquals(news.notify.map { it.id }, read.withdraw)
        assertTrue(read.notify.isEmpty() && read.unread == 0L && read.complete, "$read")
        assertFails<WhimbrelException.Suspended> { alice.account.send("?", bob.address) }
    }

    @Test
    fun `wake up against a stalled server`() = play {
        val alice = online("alice", overLink())
        val bob = online("bob")
        alice.client.suspend(10.seconds)
        bob.account.send("But soft, what light?", alice.address)
        bob.account.sync(60.seconds)
        stalled {
            val news = alice.client.wakeUp(alice.address, 2.seconds)
            assertTrue(!news.complete && news.notify.isEmpty() && news.withdraw.isEmpty(), "$news")
            assertFails<WhimbrelException.Suspended> { alice.account.send("?", bob.address) }
        }
        val news = alice.client.wakeUp(alice.address, 60.seconds)
        assertEquals(listOf("But soft, what light?"), news.notify.map { it.text })
        assertTrue(news.complete)
    }

    @Test
    fun `a wake-up that is broken off loses nothing`() = play {
        val alice = online("alice", overLink())
        val bob = online("bob")
        alice.client.suspend(10.seconds)
        bob.account.send("But soft, what light?", alice.address)
        bob.account.sync(60.seconds)
        stalled {
            val waking = launch { alice.client.wakeUp(alice.address, 1000.seconds) }
            until { openFiles(directory.resolve("alice")).isNotEmpty() }
            waking.cancelAndJoin()
            until { openFiles(directory.resolve("alice")).isEmpty() }
            assertFails<WhimbrelException.Suspended> { alice.account.send("?", bob.address) }
        }
        val news = alice.client.wakeUp(alice.address, 60.seconds)
        assertEquals(listOf("But soft, what light?"), news.notify.map { it.text })
    }

    @Test
    fun `a removal that nobody waits for comes to its end`() = play {
        val alice = online("alice", overLink())
        stalled {
            val removing = launch { alice.client.removeAccount(alice.address) }
            // It is under way: the server is to be told first, and says nothing.
            alice.account.status.first { it != Status.Online && it !is Status.CatchingUp }
            removing.cancelAndJoin()
            until { alice.client.account(alice.address) == null }
        }
        val left = directory.resolve("alice").walk().filter { it.isFile }.map { it.name }
        assertEquals(emptyList<String>(), left.toList())
    }

    @Test
    fun `kill the process and start again, the stream resumes`() = play {
        val alice = person("alice")
        val bob = online("bob")
        val home = "$directory/alice"
        withContext(Dispatchers.IO) {
            Child("send", home, alice, bob.address, "But soft, what light?").use { child ->
                assertTrue(UUID.fromString(child.line()?.removePrefix("sent ")).version() == 4)
                assertEquals("synced", child.line())
                // Killed here.
            }
            Child("return", home, alice, bob.address).use { child ->
                assertEquals("resumed true", child.line())
                assertEquals("But soft, what light?", child.line())
                assertEquals(null, child.line())
            }
        }
        bob.account.sync(60.seconds)
        assertEquals(listOf("But soft, what light?"), bob.account.texts(alice, 1))
    }

    @Test
    fun `two processes on one account`() = play {
        val app = online("alice")
        val bob = online("bob")
        val home = "$directory/alice"
        withContext(Dispatchers.IO) {
            Child("wake", home, app.address).use { extension -> assertEquals("in use", extension.line()) }
        }
        app.client.suspend(10.seconds)
        bob.account.send("But soft, what light?", app.address)
        bob.account.sync(60.seconds)
        withContext(Dispatchers.IO) {
            Child("wake", home, app.address).use { extension ->
                assertEquals("complete true", extension.line())
                assertEquals("But soft, what light?", extension.line())
                assertEquals(null, extension.line())
            }
        }
        app.client.resume()
        assertEquals(listOf("But soft, what light?"), app.account.texts(bob.address, 1))
        app.account.status.first { it == Status.Online }
    }

    @Test
    fun `cancel everything half-way`() = play {
        val bob = device("bob", person("bob"), overLink())
        val old = person("old")
        val alice = device("alice", person("alice"), overLink())
        // More than is fetched before somebody scrolls there.
        door("say ${old.substringBefore('@')} ${alice.address} 1000")
        alice.account.signIn(PASSWORD)
        alice.account.sync(60.seconds)
        val timeline = alice.account.timeline(old)
        stalled {
            val flows = listOf(
                timeline.items, timeline.updates, alice.account.status,
                alice.account.conversations.items, alice.account.conversations.updates,
                alice.account.contacts.items, alice.account.contacts.updates,
            ).map { begun(it) }
            val id = alice.account.send("But soft, what light?", bob.address)
            val calls = listOf<suspend () -> Any>(
                { alice.account.sync(100.seconds) },
                { timeline.older(1000) },
                { bob.account.signIn(PASSWORD) },
                { alice.client.wakeUp(alice.address, 100.seconds) },
                { alice.account.events.first { it is Event.NewMessage } },
            ).map { launch { it() } }
            // The calls before this one are with the library by now, and wait for a server that says nothing.
            assertEquals(id, alice.account.send("But soft, what light?", bob.address, id))
            val all = flows + calls
            assertEquals(List(all.size) { true }, all.map { it.isActive })
            all.forEach { it.cancel() }
            all.joinAll()
            // Those that do not wait for a server, cancelled as soon as they have begun. Those behind the first may find it done.
            listOf<suspend () -> Any>(
                { alice.client.suspend(100.seconds) },
                { alice.client.resume() },
                { alice.account.disconnect() },
                { alice.account.connect() },
                { alice.account.addContact(bob.address) },
            ).forEach { call ->
                launch(start = CoroutineStart.UNDISPATCHED) {
                    try { call() } catch (_: WhimbrelException.Suspended) {}
                }.cancelAndJoin()
            }
        }
        alice.client.resume()
        alice.account.connect()
        bob.account.signIn(PASSWORD)
        assertEquals(listOf("But soft, what light?"), bob.account.texts(alice.address, 1))
        bob.account.send("Ay me!", alice.address)
        assertEquals(listOf("But soft, what light?", "Ay me!"), alice.account.texts(bob.address, 2))
        alice.client.close()
        bob.client.close()
        assertEquals(emptyList<String>(), openFiles(directory))
    }

    @Test
    fun `observe the status over a cut`() = play {
        val alice = online("alice", overLink())
        alice.account.status.first { it == Status.Online }
        val seen = mutableListOf<Status>()
        val watched = CompletableDeferred<Unit>()
        val offline = CompletableDeferred<Status.Offline>()
        val back = async {
            alice.account.status.onEach { status ->
                seen += status
                watched.complete(Unit)
                if (status is Status.Offline) offline.complete(status)
            }.first { it == Status.Online && offline.isCompleted }
        }
        watched.await()
        // Or it might be back before anybody has looked.
        door("refuse")
        try {
            door("cut")
            assertTrue(offline.await().nextAttempt != null, "it goes on by itself: $seen")
        } finally {
            withContext(NonCancellable) { door("accept") }
        }
        back.await()
        val online = seen.map { it == Status.Online || it is Status.CatchingUp }
        val turns = online.filterIndexed { at, now -> at == 0 || online[at - 1] != now }
        assertEquals(listOf(true, false, true), turns, "$seen")
    }

    /** While the link swallows everything. Afterwards what is open over it is gone, and new connections pass. */
    private suspend fun CoroutineScope.stalled(meanwhile: suspend CoroutineScope.() -> Unit) {
        door("stall")
        try {
            meanwhile()
        } finally {
            // Also where the test is over, or the next ones had no link.
            withContext(NonCancellable) {
                door("flow")
                door("cut")
            }
        }
    }

    /** For what nobody tells: looks again and again. */
    private suspend fun until(so: () -> Boolean) {
        while (!so()) delay(5.milliseconds)
    }

    /** Collects a flow for ever; returns when it has seen something. */
    private suspend fun CoroutineScope.begun(flow: Flow<Any>): Job {
        val first = CompletableDeferred<Unit>()
        val job = launch { flow.collect { first.complete(Unit) } }
        first.await()
        return job
    }
}
