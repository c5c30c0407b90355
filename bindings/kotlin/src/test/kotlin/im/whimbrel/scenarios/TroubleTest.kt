package im.whimbrel.scenarios

import im.whimbrel.Device
import im.whimbrel.KeyVault
import im.whimbrel.MemoryVault
import im.whimbrel.PASSWORD
import im.whimbrel.Scenario
import im.whimbrel.Status
import im.whimbrel.WhimbrelException
import im.whimbrel.assertFails
import im.whimbrel.direct
import im.whimbrel.ffi.heldObjects
import im.whimbrel.ffi.panicAsync
import im.whimbrel.ffi.panicSync
import im.whimbrel.openFiles
import im.whimbrel.person
import im.whimbrel.texts
import java.lang.ref.WeakReference
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import im.whimbrel.ffi.WhimbrelException as FfiException

class TroubleTest : Scenario() {
    @Test
    fun `a panic arrives as a bug`() = play {
        val now = assertThrows(FfiException.Bug::class.java) { panicSync() }
        assertTrue(now.report.startsWith("on purpose at "), now.report)
        val later = runCatching { panicAsync() }.exceptionOrNull()
        assertTrue(later is FfiException.Bug && later.report.startsWith("on purpose, later at "), "$later")
    }

    @Test
    fun `key lost and start over`() = play {
        val bob = online("bob")
        val vault = MemoryVault()
        val address = person("alice")
        val before = open("alice", vault)
        before.addAccount(address, direct()).signIn(PASSWORD)
        before.close()
        vault.entries.clear()

        val client = open("alice", vault)
        val lost = checkNotNull(client.account(address))
        assertFails<WhimbrelException.KeyLost> { lost.connect() }
        val alice = client.startOver(address)
        // How it connects was in the file.
        client.addAccount(address, direct())
        alice.signIn(PASSWORD)
        alice.send("But soft, what light?", bob.address)
        assertEquals(listOf("But soft, what light?"), bob.account.texts(address, 1))
        assertFails<WhimbrelException.Closed> { lost.connect() }
        val files = directory.walk().map { it.name }.toList()
        assertTrue(files.any { it.startsWith("set-aside-") && it.endsWith("account.db") }, "the old file is gone: $files")
    }

    @Test
    fun `key locked`() = play {
        val vault = MemoryVault()
        val address = person("alice")
        val before = open("alice", vault)
        before.addAccount(address, direct()).signIn(PASSWORD)
        before.close()
        vault.locked = true

        val client = open("alice", vault)
        val alice = checkNotNull(client.account(address))
        assertFails<WhimbrelException.Locked> { alice.connect() }
        assertFails<WhimbrelException.Locked> { alice.timeline("bob@a.test").items.first() }
        vault.locked = false
        alice.connect()
        alice.status.first { it == Status.Online }
    }

    @Test
    fun `leave nothing behind after close`() = play {
        val vault = useAndClose()
        assertEquals(emptyList<String>(), openFiles(directory))
        // What was let go of is freed when the collector finds it, and the app's own objects with it.
        while (heldObjects() != 0L || vault.get() != null) {
            System.gc()
            delay(20.milliseconds)
        }
    }

    /** Of its own, so that nothing of it is on the stack afterwards. */
    private suspend fun CoroutineScope.useAndClose(): WeakReference<KeyVault> {
        val vault = MemoryVault()
        val client = open("alice", vault)
        val alice = Device(client, client.addAccount(person("alice"), direct()))
        val bob = device("bob", person("bob"))
        listOf(alice, bob).forEach { it.account.signIn(PASSWORD) }
        val timeline = alice.account.timeline(bob.address)
        val cancelled = launch { timeline.items.collect {} }
        val events = launch { alice.account.events.collect {} }
        val status = launch { alice.account.status.collect {} }
        var closed: Throwable? = null
        val followed = launch { closed = runCatching { timeline.updates.collect {} }.exceptionOrNull() }
        alice.account.send("But soft, what light?", bob.address)
        bob.account.texts(alice.address, 1)
        assertTrue(heldObjects() > 0L)
        cancelled.cancelAndJoin()
        alice.client.close()
        bob.client.close()

        // What waits is told, and what follows the account ends with it; the status is there to the last.
        followed.join()
        assertEquals(WhimbrelException.Closed(), closed)
        events.join()
        assertTrue(alice.account.status.value is Status.Offline, "${alice.account.status.value}")
        status.cancelAndJoin()
        assertFails<WhimbrelException.Closed> { alice.account.send("?", bob.address) }
        assertFails<WhimbrelException.Closed> { alice.client.addAccount(bob.address) }
        assertFails<WhimbrelException.Closed> { alice.client.resume() }
        closeAll()
        return WeakReference(vault)
    }
}
