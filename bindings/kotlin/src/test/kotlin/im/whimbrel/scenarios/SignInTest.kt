package im.whimbrel.scenarios

import im.whimbrel.Contact
import im.whimbrel.Event
import im.whimbrel.PASSWORD
import im.whimbrel.Scenario
import im.whimbrel.Status
import im.whimbrel.WhimbrelException
import im.whimbrel.assertFails
import im.whimbrel.direct
import im.whimbrel.person
import im.whimbrel.texts
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
        val offline = alice.account.status.value as Status.Offline
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
        assertEquals(Contact(bob.address, "Bob", Contact.Subscription.TO, asked = false, asks = false, available = true), contact)
        val other = bob.account.contacts.items.first { all -> all.any { it.subscription == Contact.Subscription.FROM } }.single()
        assertEquals(alice.address to false, other.address to other.asks)

        alice.account.removeContact(bob.address)
        alice.account.contacts.items.first { it.isEmpty() }
    }

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
