package im.whimbrel.scenarios

import im.whimbrel.Audience
import im.whimbrel.Card
import im.whimbrel.Client
import im.whimbrel.Contact
import im.whimbrel.Draft
import im.whimbrel.Event
import im.whimbrel.PASSWORD
import im.whimbrel.PasswordChange
import im.whimbrel.Scenario
import im.whimbrel.SendState
import im.whimbrel.Status
import im.whimbrel.WhimbrelException
import im.whimbrel.XmppLink
import im.whimbrel.assertFails
import im.whimbrel.befriend
import im.whimbrel.direct
import im.whimbrel.heard
import im.whimbrel.messages
import im.whimbrel.newcomer
import im.whimbrel.person
import im.whimbrel.texts
import java.io.File
import kotlin.time.Duration.Companion.days
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class AccountTest : Scenario() {
    @Test
    fun `read and publish a card`() = play {
        val juliet = online("juliet")
        val romeo = online("romeo")
        val said = Card(
            fullName = "Juliet <Capulet>",
            name = Card.Name(family = "Capulet", given = "Juliet"),
            nicknames = listOf("Jule"),
            birthday = "1580-07-31",
            organisations = listOf(Card.Organisation("Capulet", units = listOf("Orchard"))),
            titles = listOf("Daughter"),
            telephones = listOf(Card.Line("+39-045-1", kinds = listOf("work"), preferred = true)),
            addresses = listOf(Card.PostalAddress(street = "Via Cappello 23", locality = "Verona")),
            note = "by any other name",
        )
        juliet.account.setCard(said, Audience.CONTACTS)
        assertEquals(said, juliet.account.knownCard(juliet.address)?.card)
        juliet.account.sync(60.seconds)
        assertEquals(Card(), romeo.account.card(juliet.address), "a stranger is told nothing")
        befriend(romeo.account, juliet.account)
        var read = romeo.account.card(juliet.address)
        while (read.fullName == null) {
            delay(50.milliseconds)
            read = romeo.account.card(juliet.address)
        }
        assertEquals(said, read)

        // Kept, for whoever is offline.
        romeo.account.disconnect()
        assertFails<WhimbrelException.Offline> { romeo.account.card(juliet.address) }
        assertEquals(said, romeo.account.knownCard(juliet.address)?.card)
        assertEquals(null, romeo.account.knownCard("nobody@a.test"))
        val tooMany = Card(nicknames = List(10_000) { "Jule" })
        assertFails<WhimbrelException.InvalidInput> { juliet.account.setCard(tooMany, Audience.EVERYBODY) }
    }

    @Test
    fun `register, change the password, and delete the account`() = play {
        val taken = person("taken").substringBefore('@')
        val client = open("tybalt")
        assertFails<WhimbrelException.ServerRefused> { client.register("a.test", token = "made up", connection = direct()) }
        val name = newcomer("tybalt")
        val registration = client.register("a.test", connection = direct())
        val tybalt = registration.use {
            assertTrue(registration.form.fields.map { it.name }.containsAll(listOf("username", "password")), "${registration.form}")
            val refused = assertFails<WhimbrelException.ServerRefused> {
                registration.submit(mapOf("username" to taken, "password" to PASSWORD))
            }
            assertEquals("conflict", refused.condition)
            // Another one, on the same form.
            registration.submit(mapOf("username" to name, "password" to PASSWORD))
        }
        assertFails<WhimbrelException.Closed> { registration.submit(emptyMap()) }
        assertEquals("$name@a.test", tybalt.address)
        tybalt.sync(60.seconds)
        val info = tybalt.serverInfo()
        assertEquals("Prosody", info.software)
        assertTrue(info.contacts.any { it.kind == "abuse" && it.uri == "mailto:abuse@a.test" }, "$info")
        assertTrue(tybalt.diskUse().total > 4096)

        val changed = heard<Event.Password>(tybalt)
        tybalt.changePassword("quill & ink")
        assertEquals(PasswordChange.Done, changed.await().change)
        val other = device("other", tybalt.address).account
        assertFails<WhimbrelException.WrongPassword> { other.signIn(PASSWORD) }
        other.signIn("quill & ink")
        other.disconnect()

        client.deleteAccount(tybalt.address)
        assertEquals(0, client.accounts.size)
        assertFails<WhimbrelException.WrongPassword> { other.signIn("quill & ink") }
        assertFails<WhimbrelException.NotFound> { client.deleteAccount(tybalt.address) }
    }

    @Test
    fun `a link is read, written, and makes friends`() = play {
        val alice = online("alice")
        val bob = online("bob")
        val invitation = alice.account.invite(validFor = 1.days)
        val link = XmppLink.parse(invitation.uri)
        val action = link.action as XmppLink.Action.Roster
        assertEquals(alice.address, link.address)
        assertEquals(null, link.account)
        assertEquals(invitation.registers, action.registers)
        assertEquals(link, XmppLink.parse(link.written()))
        bob.account.addInviter(checkNotNull(link.address), checkNotNull(action.token), name = "Alice")
        for ((mine, theirs) in listOf(alice to bob, bob to alice)) {
            mine.account.contacts.items.first { all ->
                all.any { it.address == theirs.address && it.subscription == Contact.Subscription.BOTH && it.available }
            }
        }

        // Her own, as a QR code has it, and whatever else a link may ask for.
        assertEquals("xmpp:${alice.address}", XmppLink(alice.address).written())
        val actions = listOf(
            null,
            XmppLink.Action.Message("1 + 1 = 2;\n«ř» & #?", subject = "Sums"),
            XmppLink.Action.Message(),
            XmppLink.Action.Subscribe,
            XmppLink.Action.Unsubscribe,
            XmppLink.Action.Roster("Alice & co", listOf("Friends", "Verona"), token = "T", registers = true),
            XmppLink.Action.Roster(),
            XmppLink.Action.Remove,
            XmppLink.Action.Register("T"),
            XmppLink.Action.Join("cauldron"),
            XmppLink.Action.Other("command", listOf(XmppLink.Parameter("node", "stats"), XmppLink.Parameter("action", ""))),
        )
        for (asked in actions) {
            val said = XmppLink("${alice.address}/the balcony", asked, account = bob.address)
            val written = said.written()
            assertTrue(written.all { it.code < 128 }, written)
            assertEquals(said, XmppLink.parse(written))
        }

        val none = listOf("", alice.address, "mailto:${alice.address}", "xmpp:", "xmpp:alice%40a.test@b.test", "xmpp:a.test?message;body=%")
        for (text in none) assertFails<WhimbrelException.InvalidInput> { XmppLink.parse(text) }
        val wrong = listOf(
            XmppLink(null),
            XmppLink("@"),
            XmppLink(alice.address, account = "@"),
            XmppLink(alice.address, XmppLink.Action.Message("\u0000")),
            XmppLink(alice.address, XmppLink.Action.Other("remove")),
        )
        for (said in wrong) assertFails<WhimbrelException.InvalidInput> { said.written() }
    }

    @Test
    fun `export everything and import it on a new device`() = play {
        val old = online("alice")
        val bob = online("bob")
        val first = old.account.send("line 1", bob.address)
        for (line in 2..6) {
            val (from, to) = if (line % 2 == 0) bob to old else old to bob
            // Until the server has his own, the other's may overtake it, and that is then their order.
            old.account.messages(bob.address) { it.size == line - 1 && it.last().state != SendState.Queued }
            from.account.send("line $line", to.address)
        }
        old.account.texts(bob.address, 6)
        old.account.sync(60.seconds)
        old.account.edit(first, "the first line")
        old.account.setDraft(Draft("not yet said"), bob.address)
        old.account.sync(60.seconds)
        val texts = listOf("the first line") + (2..6).map { "line $it" }
        assertEquals(texts, old.account.texts(bob.address, 6))
        val file = "$directory/alice.xml"
        val held = old.account.exportTo(file)
        assertFalse(PASSWORD in File(file).readText())

        // Never online before, and not yet.
        val new = device("new", old.address)
        val imported = new.account.importFrom(file)
        assertEquals(held to 0L, imported.added to imported.known)
        assertEquals(texts, new.account.texts(bob.address, 6))
        assertEquals("not yet said", new.account.conversations.items.first().single().draft?.text)
        new.signIn()
        assertEquals(0, new.account.importFrom(file).added)
        assertEquals(texts, new.account.messages(bob.address) { true }.map { it.text })

        assertFails<WhimbrelException.InvalidInput> { bob.account.importFrom(file) }
        assertFails<WhimbrelException.NotFound> { new.account.importFrom("$file.none") }
    }

    @Test
    fun `a log bundle says nothing of what was written`() = play {
        Client.keepLog()
        val alice = online("alice")
        val bob = online("bob")
        alice.account.send("But soft, what light?", bob.address)
        bob.account.texts(alice.address, 1)
        alice.account.disconnect()
        alice.account.connect()
        alice.account.sync(60.seconds)
        // What is asked for is answered before the status is another.
        alice.account.status.first { it == Status.Online }
        val bundle = alice.client.logBundle()
        assertTrue("account 1: online" in bundle, bundle)
        val lines = checkNotNull(Regex("log: (\\d+) lines").find(bundle)).groupValues[1].toInt()
        assertTrue(lines > 0, bundle)
        val names = listOf(alice, bob).map { it.address.substringBefore('@') }
        for (said in listOf("But soft", "a.test", PASSWORD) + names) assertFalse(said in bundle, "$said in $bundle")
    }
}
