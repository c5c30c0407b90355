package im.whimbrel

import im.whimbrel.WhimbrelException.Bug
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What the face does by itself. */
class FaceTest : Scenario() {
    @Test
    fun `every error comes back as it went`() {
        val all = listOf(
            WhimbrelException.Offline(), WhimbrelException.TimedOut(), WhimbrelException.WrongPassword(),
            WhimbrelException.ServerRefused("conflict", "text"), WhimbrelException.ServerRefused("conflict", null),
            WhimbrelException.Untrusted("what"), WhimbrelException.NotFound(), WhimbrelException.InvalidInput("what"),
            WhimbrelException.StorageFull(), WhimbrelException.KeyLost(), WhimbrelException.Locked(),
            WhimbrelException.Closed(), WhimbrelException.Suspended(), WhimbrelException.InUse(), Bug("report"),
        ) + Unusable.entries.map { WhimbrelException.DatabaseUnusable(it) }
        assertEquals(all, all.map { it.toFfi().toFace() })
        assertEquals(all.size, all.toSet().size)
        assertNotEquals(Bug("one"), Bug("another"))
    }

    @Test
    fun `what an app's vault throws is a bug, and ours is ours`() = play {
        suspend fun openedWith(thrown: Throwable): WhimbrelException = assertFails {
            val vault = object : KeyVault by MemoryVault() {
                override fun load(name: String): ByteArray? = throw thrown
            }
            open("alice", vault).addAccount("alice@a.test")
        }
        for (thrown in listOf(IllegalStateException("no keystore"), NotImplementedError("no keystore"))) {
            val bug = openedWith(thrown)
            assertTrue(bug is Bug && thrown.toString() in bug.report, "$bug")
        }
        assertEquals(WhimbrelException.Locked(), openedWith(WhimbrelException.Locked()))
    }

    @Test
    fun `mistakes of the caller are told as such`() = play {
        val client = open("alice")
        assertFails<WhimbrelException.InvalidInput> { client.account("@") }
        assertFails<WhimbrelException.InvalidInput> { client.addAccount("a.test") }
        assertFails<WhimbrelException.InvalidInput> { client.addAccount("alice@a.test", Connection(Server("a.test", 65_536))) }
        assertFails<WhimbrelException.InvalidInput> { client.networkChanged(Network(Network.Kind.WIFI, dns = listOf("a.test"))) }
        assertFails<WhimbrelException.NotFound> { client.wakeUp("alice@a.test", kotlin.time.Duration.ZERO) }
        val alice = client.addAccount("alice@a.test", direct())
        assertFails<WhimbrelException.InvalidInput> { alice.timeline("bob@a.test", limit = -1) }
        assertFails<WhimbrelException.InvalidInput> { alice.send("text", "bob@a.test", id = "no UUID") }
        assertFails<WhimbrelException.InvalidInput> { alice.send("", "bob@a.test") }
        assertFails<WhimbrelException.InvalidInput> { alice.setPush(Push("a.test", node = "")) }
    }

    @Test
    fun `an update is done to a list splice by splice`() {
        val list = mutableListOf("a", "b", "c")
        Update(listOf(Splice(1, 1, listOf("x", "y")), Splice(3, 1, listOf()), Splice(3, 0, listOf("z")))).applyTo(list)
        assertEquals(listOf("a", "x", "y", "z"), list)
    }
}
