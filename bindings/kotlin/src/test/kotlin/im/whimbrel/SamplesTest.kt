package im.whimbrel

import java.io.File
import java.io.PrintStream
import java.util.UUID
import javax.crypto.KeyGenerator
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What README.md shows is what is compiled here, and does what it says. */
class SamplesTest : Scenario() {
    @Test
    fun `the README shows the samples word for word`() {
        val samples = parts(File("../src/test/kotlin/im/whimbrel/Samples.kt"), Regex("// sample: .*"), "// end")
        val shown = parts(File("../README.md"), Regex("```kotlin"), "```")
        assertTrue(samples.isNotEmpty())
        assertEquals(samples, shown)
        assertTrue(samples.first().count { it.isNotBlank() } <= 20, "the quick start is no longer quick")
    }

    private fun parts(file: File, begins: Regex, ends: String): List<List<String>> {
        val parts = mutableListOf<MutableList<String>>()
        var inside = false
        for (line in file.readLines()) {
            when {
                !inside && line.matches(begins) -> parts += mutableListOf<String>().also { inside = true }
                line == ends -> inside = false
                inside -> parts.last() += line
            }
        }
        return parts
    }

    @Test
    fun `the quick start sends and prints what comes`() = play {
        door("account romeo")
        door("account juliet")
        val juliet = device("juliet", "juliet@a.test")
        juliet.account.signIn(PASSWORD)
        val printed = Channel<String>(Channel.UNLIMITED)
        val out = System.out
        System.setOut(object : PrintStream(out) {
            override fun println(line: Any?) {
                printed.trySend("$line")
            }
        })
        try {
            val started = launch { quickStart("$directory/romeo", FileVault("$directory/romeo/keys"), direct()) }
            assertTrue("But soft, what light?" in juliet.account.texts("romeo@a.test", 1))
            juliet.account.send("Ay me!", "romeo@a.test")
            while (!Regex("juliet@a.test/.*: Ay me! .*").matches(printed.receive())) continue
            started.cancelAndJoin()
        } finally {
            System.setOut(out)
        }
    }

    @Test
    fun `a screen shows, scrolls and tells that it was seen`() = play {
        val alice = online("alice")
        val bob = online("bob")
        befriend(alice.account, bob.account)
        bob.account.send("But soft, what light?", alice.address)
        coroutineScope {
            val screen = Screen(alice.account, alice.account.timeline(bob.address), this)
            val message = screen.items.first { it.isNotEmpty() }.single() as Message
            assertEquals("But soft, what light?", message.text)
            screen.scrolledToTheTop().join()
            screen.seen().join()
            bob.account.messages(alice.address) { it.single().state == SendState.Displayed }
            coroutineContext.cancelChildren()
        }
    }

    @Test
    fun `an account is made, plays, and is taken along`() = play {
        val old = open("old")
        val alice = join(old, "xmpp:a.test?register", newcomer("alice"), direct())
        val bob = device("bob", person("bob"))
        val games = Nim(alice, bob.address) to Nim(bob.account, alice.address)
        games.toList().forEach { it.begin() }
        bob.signIn()
        befriend(alice, bob.account)
        val id = UUID.randomUUID().toString()
        repeat(2) { games.first.take(2, id) }
        games.second.moves.first { it.size == 1 }
        games.second.take(3, UUID.randomUUID().toString())
        val moves = games.first.moves.first { it.size == 2 }
        assertEquals(listOf(true to "2", false to "3"), moves.map { it.mine to it.xml.substringAfter("sticks='").take(1) })

        alice.send("Well played", bob.address)
        val file = export(alice, "$directory")
        val new = open("new")
        // Moves are messages.
        assertEquals(3, import(new, alice.address, file, direct()))
        assertEquals(listOf("Well played"), checkNotNull(new.account(alice.address)).texts(bob.address, 1))
    }

    @Test
    fun `the platform's calls wake an account whose key is in the sample's vault`() = play {
        val vault = EncryptedVault(File(directory, "vault").apply { mkdir() }, KeyGenerator.getInstance("AES").generateKey())
        val client = open("alice", vault)
        val alice = client.addAccount(person("alice"), direct())
        alice.signIn(PASSWORD)
        alice.sync(60.seconds)
        val bob = online("bob")
        val shown = mutableListOf<String>()
        val notifications = object : Notifications {
            override fun show(id: String, title: String, text: String) {
                shown += "$title: $text"
            }

            override fun cancel(id: String): Unit = error("nothing was shown before")

            override fun badge(unread: Long) {
                shown += "$unread unread"
            }
        }
        val life = Life(client, notifications)
        life.connected(name = "Verona", wifi = true, metered = false, dns = emptyList())
        life.hidden()
        bob.account.send("But soft, what light?", alice.address)
        bob.account.sync(60.seconds)
        assertTrue(life.pushed(alice.address))
        assertEquals(listOf("${bob.address}: But soft, what light?", "1 unread"), shown)
        life.shown()
        alice.status.first { it == Status.Online }
        client.close()

        // As the next process would find it.
        val again = open("alice", vault)
        assertEquals(listOf("But soft, what light?"), checkNotNull(again.account(alice.address)).texts(bob.address, 1))
        Life(again, notifications).run {
            started()
            shown()
        }
        checkNotNull(again.account(alice.address)).status.first { it == Status.Online }
    }
}
