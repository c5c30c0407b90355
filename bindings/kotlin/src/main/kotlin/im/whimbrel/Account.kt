package im.whimbrel

import im.whimbrel.ffi.Account as FfiAccount
import java.time.ZonedDateTime
import java.util.UUID
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant
import kotlin.time.toJavaDuration
import kotlinx.coroutines.ExperimentalForInheritanceCoroutinesApi
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.flow

/** One account. Every object of the same address is the same account. */
public class Account internal constructor(private val account: FfiAccount) {
    /** Whose account it is. */
    public val address: String = answered { account.address() }

    /**
     * How it is doing. Its value is always the present one; who collects it sees the latest, not all in between. It never ends, also
     * when the client is closed.
     */
    public val status: StateFlow<Status> = Statuses(account)

    /**
     * Connects with this password, keeps it in the encrypted database, and stays connected from then on. Returns when online.
     *
     * Fails with [WhimbrelException.WrongPassword], [WhimbrelException.Untrusted], [WhimbrelException.NotFound],
     * [WhimbrelException.ServerRefused], or [WhimbrelException.Offline] where there is no connection; in the last case, and only
     * there, it goes on trying.
     */
    public suspend fun signIn(password: String): Unit = call { account.signIn(password) }

    /** Connects as signed in before and stays connected. Returns at once: the [status] tells how it goes. */
    public suspend fun connect(): Unit = call { account.connect() }

    /** Closes the session on the server and stays offline. */
    public suspend fun disconnect(): Unit = call { account.disconnect() }

    /**
     * Sends a text and returns its id when it is durable: how far it comes is the [Message.state] of its item.
     *
     * A call that was cancelled or killed may have been taken. Who repeats it with the same [id] sends one message. Fails with
     * [WhimbrelException.InvalidInput] where the id is no UUID or the text is empty or too long, [WhimbrelException.StorageFull],
     * [WhimbrelException.DatabaseUnusable].
     */
    public suspend fun send(text: String, to: String, id: String = UUID.randomUUID().toString()): String =
        call { account.send(id, to, text) }

    /** A conversation's newest [limit] messages, and all that come. Days begin by the device's clock of now. */
    public suspend fun timeline(with: String, limit: Int = 50): Timeline {
        val timeline = Timeline(with, call { account.timeline(with, limit.toCount()) })
        timeline.setUtcOffset(ZonedDateTime.now().offset.totalSeconds.seconds)
        return timeline
    }

    /** All conversations, the newest first. */
    public val conversations: ConversationList
        get() = ConversationList(answered { account.conversations() })

    /** The roster, and who asks to be in it, by address. */
    public val contacts: ContactList
        get() = ContactList(answered { account.contacts() })

    /**
     * What happens from when it is collected, in order; ends with the account. Who falls too far behind misses some; lists and
     * [status] never do.
     */
    public val events: Flow<Event> = flow {
        answered { account.events() }.use { events ->
            while (true) emit(call { events.next() }?.toFace() ?: break)
        }
    }

    /** Everything in this conversation was seen. Tells the contact, if they asked and may know (XEP-0333). */
    public suspend fun markRead(with: String): Unit = call { account.markRead(with) }

    /**
     * Tells a contact that we are typing, or no longer (XEP-0085). Not kept, not repeated. Fails with [WhimbrelException.Offline].
     */
    public suspend fun setChatState(state: ChatState, with: String): Unit = call { account.setChatState(with, state.toFfi()) }

    /** Adds or renames a contact and asks to see their presence (RFC 6121 §2.3, §3.1). Can be done offline. */
    public suspend fun addContact(address: String, name: String? = null): Unit = call { account.addContact(address, name) }

    /** Removes a contact (RFC 6121 §2.5). The messages stay. */
    public suspend fun removeContact(address: String): Unit = call { account.removeContact(address) }

    /** Lets a contact see our presence (RFC 6121 §3.1.4). */
    public suspend fun acceptContact(address: String): Unit = call { account.acceptContact(address) }

    /**
     * Has our server tell this app server when something comes while this device is away (XEP-0357), and no other; `null`: nobody.
     * Returns when it is durable: the server is told as soon as there is a connection, and again in each new session. Fails with
     * [WhimbrelException.InvalidInput] for what is no app server's address or an empty node.
     */
    public suspend fun setPush(push: Push?): Unit = call { account.setPush(push?.toFfi()) }

    /** How far the registration for push notifications is. */
    public suspend fun pushState(): PushState = call { account.push() }.toFace()

    /**
     * Returns when caught up: no gap open since the first sign-in, and nothing waiting to be sent. Fails with
     * [WhimbrelException.TimedOut], or with [WhimbrelException.Offline] where there was no connection at the end of the time.
     */
    public suspend fun sync(timeout: Duration): Unit = call { account.sync(timeout.toJavaDuration()) }

    /**
     * Sends a stanza as it is: one well-formed `message`, `presence` or `iq`. It is counted, kept and resent like any other of ours.
     * Fails with [WhimbrelException.InvalidInput] where it is not.
     */
    public suspend fun sendRaw(xml: String): Unit = call { account.sendRaw(xml) }

    override fun toString(): String = "Account($address)"
}

/** Nothing runs for those who do not look: a value is asked for, and who collects waits in the library. */
@OptIn(ExperimentalForInheritanceCoroutinesApi::class)
private class Statuses(private val account: FfiAccount) : StateFlow<Status> {
    override val value: Status
        get() = answered { account.status() }.toFace()

    override val replayCache: List<Status>
        get() = listOf(value)

    override suspend fun collect(collector: FlowCollector<Status>): Nothing {
        var seen = answered { account.status() }
        val statuses = answered { account.statuses() }
        while (true) {
            collector.emit(seen.toFace())
            seen = try {
                call { statuses.after(seen) }
            } catch (_: WhimbrelException.Closed) {
                awaitCancellation()
            }
        }
    }
}

/** How an account is doing. Honest enough to draw, quiet enough to ignore. */
public sealed interface Status {
    /**
     * Not connected.
     *
     * @property reason why; `null` where nobody asked for a connection
     * @property detail what happened, for a person; empty where there is nothing to say
     * @property nextAttempt when the next attempt begins; `null`: not by itself
     */
    public data class Offline(val reason: WhimbrelException?, val detail: String, val nextAttempt: Instant?) : Status

    /** Resolving, connecting, logging in. */
    public data object Connecting : Status

    /**
     * Online; what was missed is being fetched.
     *
     * @property done messages fetched so far
     * @property total the server's guess of all
     */
    public data class CatchingUp(val done: Long, val total: Long?) : Status

    /** Online and complete. */
    public data object Online : Status
}

/**
 * What happened, for logs and for notifications of an app that is running. Lists follow their own updates instead, and how the
 * account is doing is its [Account.status].
 */
public sealed interface Event {
    /**
     * The session is usable.
     *
     * @property resumed whether the server took us back into the last session
     * @property afterStart whether it is the first since the process started or was resumed
     */
    public data class Online(val resumed: Boolean, val afterStart: Boolean) : Event

    /**
     * The session is gone or could not be had.
     *
     * @property detail what happened, for a person
     */
    public data class Offline(val detail: String) : Event

    /**
     * A message is new here.
     *
     * @property message which
     */
    public data class NewMessage(val message: Message) : Event

    /**
     * A message of ours came further.
     *
     * @property id which
     * @property with the address of whom the conversation is with
     * @property state how far
     */
    public data class State(val id: String, val with: String, val state: SendState) : Event

    /**
     * The registration for push notifications came further.
     *
     * @property state how far
     */
    public data class Push(val state: PushState) : Event

    /** Nothing is missing any more. */
    public data object CaughtUp : Event

    /**
     * The server's answer was larger than can be read: what it was about stays as it was.
     *
     * @property what `roster`, `account`, `archive` or `answer`
     * @property size in bytes
     */
    public data class TooLarge(val what: String, val size: Long) : Event
}

/**
 * An app server that can wake this device (XEP-0357 §5).
 *
 * @property service its address
 * @property node which device, in its own words
 * @property secret what it wants to hear from our server besides
 */
public data class Push(val service: String, val node: String, val secret: String? = null)

/** How far the registration for push notifications is. */
public sealed interface PushState {
    /** None is wanted, and none is there. */
    public data object Off : PushState

    /** The server was not told yet, or has not answered. */
    public data object Waiting : PushState

    /** The server will tell the app server. */
    public data object On : PushState

    /** The server does not offer it: a suspended account hears of nothing. */
    public data object Unsupported : PushState

    /**
     * The server said no. It is asked again in the next session.
     *
     * @property condition of RFC 6120 §8.3.3
     */
    public data class Refused(val condition: String) : PushState

    /**
     * Signed out without a connection: our server goes on telling that app server, which has to ignore it.
     *
     * @property push which
     */
    public data class LeftBehind(val push: Push) : PushState
}

/** What a contact or we are doing in a conversation (XEP-0085). */
public enum class ChatState {
    /** Attention is on the conversation. */
    ACTIVE,

    /** Typing. */
    COMPOSING,

    /** Stopped typing. */
    PAUSED,

    /** Not looking. */
    INACTIVE,

    /** Closed the conversation. */
    GONE,
}
