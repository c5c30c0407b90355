package im.whimbrel.scenarios

import im.whimbrel.Contact
import im.whimbrel.Event
import im.whimbrel.PASSWORD
import im.whimbrel.Picture
import im.whimbrel.Presence
import im.whimbrel.Report
import im.whimbrel.Scenario
import im.whimbrel.Status
import im.whimbrel.WhimbrelException
import im.whimbrel.assertFails
import im.whimbrel.befriend
import im.whimbrel.direct
import im.whimbrel.messages
import im.whimbrel.person
import im.whimbrel.texts
import kotlin.io.encoding.Base64
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class SignInTest : Scenario() {
    @Test
    fun `sign in`() = play {
        val alice = device("alice", person("alice"))
        assertEquals(Status.Offline(null, "", null), alice.account.status.value)
        val online = async(start = CoroutineStart.UNDISPATCHED) { alice.account.events.first { it is Event.Online } }
        alice.account.signIn(PASSWORD)
        assertEquals(Event.Online(resumed = false, afterStart = true), online.await())
        alice.account.status.first { it == Status.Online }
        assertEquals(listOf(alice.address), alice.client.accounts.map { it.address })
    }

    @Test
    fun `wrong password`() = play {
        val alice = device("alice", person("alice"))
        assertFails<WhimbrelException.WrongPassword> { alice.account.signIn("not hers") }
        // Who asked is answered before the status is another.
        val offline = alice.account.status.first { it is Status.Offline } as Status.Offline
        assertEquals(WhimbrelException.WrongPassword(), offline.reason)
        assertEquals(null, offline.nextAttempt)
        alice.account.signIn(PASSWORD)
        alice.account.status.first { it == Status.Online }
    }

    @Test
    fun `add a contact`() = play {
        val alice = online("alice")
        val bob = online("bob")
        alice.account.addContact(bob.address, "Bob")
        val asked = alice.account.contacts.items.first { it.singleOrNull()?.asked == true }.single()
        assertEquals(bob.address to "Bob", asked.address to asked.name)
        val asking = bob.account.contacts.items.first { it.isNotEmpty() }.single()
        assertEquals(alice.address to true, asking.address to asking.asks)

        bob.account.acceptContact(alice.address)
        val contact = alice.account.contacts.items.first { it.single().available }.single()
        val accepted = asked.copy(subscription = Contact.Subscription.TO, asked = false, available = true, presence = contact.presence)
        assertEquals(accepted, contact)
        assertEquals(Presence.Show.AVAILABLE, contact.presence?.show)
        alice.account.editContact(bob.address, "Robert", groups = listOf("Friends"))
        alice.account.contacts.items.first { it.single().name == "Robert" && it.single().groups == listOf("Friends") }
        val other = bob.account.contacts.items.first { all -> all.any { it.subscription == Contact.Subscription.FROM } }.single()
        assertEquals(alice.address to false, other.address to other.asks)

        alice.account.removeContact(bob.address)
        alice.account.contacts.items.first { it.isEmpty() }
    }

    @Test
    fun `block somebody and hear of them again`() = play {
        val alice = online("alice")
        val bob = online("bob")
        bob.account.send("Thou art a villain", alice.address)
        val said = alice.account.messages(bob.address) { it.isNotEmpty() }.single()
        alice.account.block(bob.address, Report(Report.Reason.ABUSE, messages = listOf(said.id)))
        assertEquals(listOf(bob.address), alice.account.blocked())
        alice.account.conversations.items.first { it.single().blocked }
        alice.account.sync(60.seconds)
        bob.account.send("A villain!", alice.address)
        bob.account.sync(60.seconds)

        alice.account.unblock(bob.address)
        assertEquals(emptyList<String>(), alice.account.blocked())
        alice.account.sync(60.seconds)
        bob.account.send("Peace", alice.address)
        assertEquals(listOf("Thou art a villain", "Peace"), alice.account.texts(bob.address, 2))
    }

    @Test
    fun `see what people show of themselves`() = play {
        val alice = online("alice")
        val bob = online("bob")
        befriend(alice.account, bob.account)
        alice.account.setNickname("Alice of Verona")
        alice.account.setAvatar(Picture("image/png", png))
        val contact = bob.account.contacts.items.first { it.single().avatar != null && it.single().nickname != null }.single()
        assertEquals("Alice of Verona", contact.nickname)
        assertEquals(Picture("image/png", png), bob.account.avatar(checkNotNull(contact.avatar)))
        assertEquals(null, bob.account.avatar("none"))
        assertFails<WhimbrelException.InvalidInput> { alice.account.setAvatar(Picture("image/png", ByteArray(0))) }

        alice.account.setAvatar(null)
        bob.account.contacts.items.first { it.single().avatar == null }

        assertEquals(Presence(Presence.Show.AVAILABLE, text = null, idleSince = null), alice.account.presence())
        val busy = Presence(Presence.Show.DO_NOT_DISTURB, "at the ball", idleSince = null)
        alice.account.setPresence(busy.show, busy.text)
        assertEquals(busy, alice.account.presence())
        bob.account.contacts.items.first { it.single().presence == busy }
        assertFails<WhimbrelException.InvalidInput> { alice.account.setPresence(Presence.Show.CHAT, "two\nlines") }
        assertFails<WhimbrelException.InvalidInput> { alice.account.setPresence(Presence.Show.CHAT, "x".repeat(1025)) }
        alice.account.disconnect()
        bob.account.contacts.items.first { !it.single().available }
        alice.account.setPresence(Presence.Show.EXTENDED_AWAY)
        alice.account.connect()
        bob.account.contacts.items.first { it.single().presence == Presence(Presence.Show.EXTENDED_AWAY, null, null) }
    }

    /** One pixel. */
    private val png = Base64.decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==")

    @Test
    fun `two accounts at once`() = play {
        val client = open("both")
        val (alice, bob) = listOf(person("alice"), person("bob")).map { address ->
            client.addAccount(address, direct()).also { it.signIn(PASSWORD) }
        }
        assertEquals(setOf(alice.address, bob.address), client.accounts.map { it.address }.toSet())
        alice.send("But soft, what light?", bob.address)
        assertEquals(listOf("But soft, what light?"), bob.texts(alice.address, 1))
        bob.send("Ay me!", alice.address)
        assertEquals(listOf("But soft, what light?", "Ay me!"), alice.texts(bob.address, 2))

        client.removeAccount(bob.address)
        assertEquals(listOf(alice.address), client.accounts.map { it.address })
        assertFails<WhimbrelException.Closed> { bob.connect() }
        alice.send("She speaks!", bob.address)
    }
}
