package im.whimbrel.ffi

import java.io.File
import java.util.UUID
import java.util.concurrent.ConcurrentHashMap
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** The boundary, against a real server: `cargo xtask bindings kotlin` starts one and says where it is. */
class ConversationTest {
    @TempDir
    lateinit var directory: File

    @Test
    fun `a message is queued while offline, sent when online, and answered`() = within(60) {
        val vault = MemoryVault()
        val alices = Client.open("$directory/alice", vault, Options())
        val bobs = Client.open("$directory/bob", fileVault("$directory/bob/keys"), Options())
        val alice = alices.addAccount("alice@a.test", connection())
        val bob = bobs.addAccount("bob@a.test", connection())
        assertEquals(1, vault.entries.keys.count { it.startsWith("database-") }, "the core has put its secret into our vault")

        val refused = runCatching { alice.signIn("not-hers") }.exceptionOrNull()
        assertTrue(refused is WhimbrelException.WrongPassword, "$refused")
        alice.signIn("secret-a")
        bob.signIn("secret-b")

        val withBob = Following(alice.timeline("bob@a.test", 50u))
        val withAlice = Following(bob.timeline("alice@a.test", 50u))
        withBob.until { it.isEmpty() }

        // Offline first: pulled updates merge, so online the state Queued might have passed before we looked.
        alice.disconnect()
        val id = alice.send(UUID.randomUUID().toString(), "bob@a.test", "But soft, what light?")
        assertEquals(SendState.Queued, withBob.until { it.size == 1 }.single().state)
        alice.connect()
        val sent = withBob.until { it.single().state != SendState.Queued }.single()
        assertEquals(id, sent.id)
        assertTrue(sent.mine)
        assertTrue(sent.state == SendState.Sent || sent.state == SendState.Delivered, "${sent.state}")

        val received = withAlice.until { it.isNotEmpty() }.single()
        assertEquals("But soft, what light?", received.text)
        assertTrue(received.from.startsWith("alice@a.test/"), received.from)
        bob.send(UUID.randomUUID().toString(), "alice@a.test", "Ay me!")
        val (_, answer) = withBob.until { it.size == 2 }
        assertEquals("Ay me!", answer.text)
        assertEquals(null, answer.state)

        alices.shutDown()
        bobs.shutDown()
        val closed = runCatching { alice.send(UUID.randomUUID().toString(), "bob@a.test", "?") }.exceptionOrNull()
        assertTrue(closed is WhimbrelException.Closed, "$closed")
    }

    @Test
    fun `a panic arrives as a bug`() = within(10) {
        val now = assertThrows(WhimbrelException.Bug::class.java) { panicSync() }
        assertTrue(now.report.startsWith("on purpose at "), now.report)
        val later = runCatching { panicAsync() }.exceptionOrNull()
        assertTrue(later is WhimbrelException.Bug && later.report.startsWith("on purpose, later at "), "$later")
    }
}

/** A vault of the app's own: what is thrown or kept here crosses the boundary the other way. */
private class MemoryVault : KeyVault {
    val entries = ConcurrentHashMap<String, ByteArray>()

    override fun load(name: String): ByteArray? = entries[name]

    override fun store(name: String, bytes: ByteArray, scope: Scope) {
        entries[name] = bytes
    }

    override fun delete(name: String) {
        entries.remove(name)
    }
}

/** Folds updates, as a list on a screen would. */
private class Following(timeline: Timeline) {
    private val updates = timeline.subscribe()
    private val items = mutableListOf<Item>()
    private var seq = 0uL

    /** Pulls until the messages are so. */
    suspend fun until(so: (List<Message>) -> Boolean): List<Message> {
        while (true) {
            val messages = items.filterIsInstance<Item.Message>().map { it.v1 }
            if (seq > 0uL && so(messages)) return messages
            val update = updates.next(seq)
            seq = update.seq
            for (splice in update.splices) {
                val at = splice.at.toInt()
                val replaced = items.subList(at, at + splice.removed.toInt())
                replaced.clear()
                replaced.addAll(splice.items)
            }
        }
    }
}

private fun connection() = Connection(
    server = Server("127.0.0.1", property("port").toUShort()),
    certificates = File(property("ca")).readText(),
)

private fun property(name: String) =
    checkNotNull(System.getProperty("whimbrel.$name")) { "-Dwhimbrel.$name is not given: use cargo xtask bindings kotlin" }

private fun within(seconds: Int, test: suspend () -> Unit) = runBlocking { withTimeout(seconds.seconds) { test() } }
