package im.whimbrel

import im.whimbrel.WhimbrelException.Bug
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

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
    fun `a log is told what happens, and neither passwords nor messages`() = play {
        data class Line(val level: LogLevel, val target: String, val text: String)
        val lines = CopyOnWriteArrayList<Line>()
        Client.logTo(LogSink { level, target, text ->
            lines += Line(level, target, text)
            // A line that is lost is all that comes of it.
            error("the log is full")
        }, most = LogLevel.DEBUG)
        val alice = online("alice")
        alice.account.send("But soft, what light?", "bob@a.test")
        while (lines.none { it.level == LogLevel.INFO && it.text.startsWith("online") }) delay(10.milliseconds)
        while (lines.none { it.level == LogLevel.DEBUG && alice.address in it.text }) delay(10.milliseconds)
        assertTrue(lines.all { it.target.startsWith("whimbrel") })
        assertEquals(listOf<Line>(), lines.filter { it.level != LogLevel.DEBUG && "a.test" in it.text })
        assertEquals(listOf<Line>(), lines.filter { PASSWORD in it.text || "But soft" in it.text })
        // Another takes its place.
        val next = CopyOnWriteArrayList<LogLevel>()
        Client.logTo(LogSink { level, _, _ -> next += level })
        alice.account.disconnect()
        while (LogLevel.INFO !in next) delay(10.milliseconds)
        assertFalse(LogLevel.DEBUG in next)
    }

    @Test
    fun `servers are looked up by the app, if it wants to`() = play {
        val asked = ConcurrentHashMap.newKeySet<String>()
        val client = Client.open("$directory/alice", FileVault("$directory/alice/keys"), resolver = Resolver { name ->
            asked += name
            check(name.startsWith("_xmpp-client."))
            listOf(Srv(1, 1, property("port").toInt(), "127.0.0.1"))
        })
        try {
            val alice = client.addAccount(person("alice"), Connection(certificates = direct().certificates))
            alice.signIn(PASSWORD)
            assertEquals(setOf("_xmpp-client._tcp.a.test", "_xmpps-client._tcp.a.test"), asked)
            // What was let go of is read again.
            alice.send("But soft, what light?", "bob@a.test")
            client.lowMemory()
            assertEquals(listOf("But soft, what light?"), alice.texts("bob@a.test", 1))
        } finally {
            client.close()
        }
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
        // As `take` cuts an emoji.
        assertFails<WhimbrelException.InvalidInput> { alice.send("light\uD83D", "bob@a.test") }
        assertFails<WhimbrelException.InvalidInput> { alice.setDraft(Draft("light\uD83D"), with = "bob@a.test") }
        assertFails<WhimbrelException.InvalidInput> { alice.search(Search("\uDE00")) }
        assertFails<WhimbrelException.InvalidInput> { XmppLink.parse("xmpp:\uD83D@a.test") }
        assertFails<WhimbrelException.InvalidInput> { alice.node("play", of = "@") }
        assertFails<WhimbrelException.InvalidInput> { alice.feed("@") }
        assertFails<WhimbrelException.InvalidInput> { alice.setPush(Push("a.test", node = "")) }
    }

    @Test
    fun `what contacts are told is decided in general and for one of them`() = play {
        val (alice, bob) = open("alice").addAccount("alice@a.test", direct()) to "bob@a.test"
        assertEquals(Signals(), alice.signals())
        alice.setSignals(Signals(typing = false))
        assertEquals(Signals(typing = false), alice.signals())
        alice.send("But soft, what light?", bob)
        alice.setSignals(Signals(displayed = false), with = bob)
        val line = alice.conversations.items.first { all -> all.any { it.signals != null } }.single()
        assertEquals(Signals(displayed = false), line.signals)
        assertFalse(line.isStranger)
        alice.setSignals(null, with = bob)
        alice.conversations.items.first { all -> all.single().signals == null }
    }

    @Test
    fun `a form is read, filled in and submitted`() {
        val form = Form.parse(
            "<x xmlns='jabber:x:data' type='form'><title>A game</title>" +
                "<field var='side' type='list-single' label='Side'><required/>" +
                "<option label='White'><value>w</value></option><option><value>b</value></option></field></x>",
        )
        assertEquals(Form.Kind.FORM to "A game", form.kind to form.title)
        val side = checkNotNull(form["side"])
        assertTrue(side.kind == Form.Field.Kind.LIST_SINGLE && side.required && side.label == "Side", "$side")
        assertEquals(listOf(Form.Choice("White", "w"), Form.Choice(null, "b")), side.options)
        assertThrows<WhimbrelException.InvalidInput> { form.submitted() }
        assertThrows<WhimbrelException.InvalidInput> { form.filled(mapOf("side" to listOf("c"))) }
        val filled = form.filled(mapOf("side" to listOf("b")))
        assertEquals(listOf("b"), filled["side"]?.values)
        assertTrue("<field var='side'><value>b</value></field>" in filled.submitted(), filled.submitted())
        assertThrows<WhimbrelException.InvalidInput> { Form.parse("no form") }
    }

    @Test
    fun `an update is done to a list splice by splice`() {
        val list = mutableListOf("a", "b", "c")
        Update(listOf(Splice(1, 1, listOf("x", "y")), Splice(3, 1, listOf()), Splice(3, 0, listOf("z")))).applyTo(list)
        assertEquals(listOf("a", "x", "y", "z"), list)
    }
}
