package im.whimbrel

import im.whimbrel.ffi.Account as FfiAccount
import im.whimbrel.ffi.Delete as FfiDelete
import java.time.ZonedDateTime
import java.util.UUID
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant
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
     * Fails with [WhimbrelException.WrongPassword] or [WhimbrelException.Untrusted]; with [WhimbrelException.NotFound],
     * [WhimbrelException.ServerRefused], or [WhimbrelException.Offline] where there is no connection: in these three cases it goes
     * on trying. Whatever the answer, the account stays: who gives up, or mistyped the address, calls [Client.removeAccount].
     */
    public suspend fun signIn(password: String): Unit = call { account.signIn(password) }

    /**
     * Connects as signed in before and stays connected. Returns at once: the [status] tells how it goes. Without a password of an earlier
     * [signIn] it is offline with [WhimbrelException.WrongPassword].
     */
    public suspend fun connect(): Unit = call { account.connect() }

    /** Closes the session on the server and stays offline. */
    public suspend fun disconnect(): Unit = call { account.disconnect() }

    /**
     * Gives the account another password on its server (XEP-0077 §3.3). Whatever happens meanwhile, the next login is by the one that
     * counts. Fails with [WhimbrelException.Offline] where there is no connection; where it was lost meanwhile, or with
     * [WhimbrelException.TimedOut], nobody knows yet, and [Event.Password] tells. With [WhimbrelException.ServerRefused] where the
     * server takes no such password, and [WhimbrelException.InvalidInput] where it is empty, too long or cannot be sent, or another
     * change is under way.
     */
    public suspend fun changePassword(password: String): Unit = call { account.changePassword(password) }

    /**
     * What our server says of itself: whom to turn to (XEP-0157), where outages are told (XEP-0455), its software (XEP-0092). Without a
     * connection what it said last. Fails with [WhimbrelException.Offline] where it never said anything,
     * [WhimbrelException.TimedOut], [WhimbrelException.ServerRefused].
     */
    public suspend fun serverInfo(): ServerInfo = call { account.serverInfo() }.toFace()

    /**
     * Who has access to the account: our own sessions and others (XEP-0494). Fails with [WhimbrelException.Offline],
     * [WhimbrelException.TimedOut], and [WhimbrelException.ServerRefused] where the server does not tell.
     */
    public suspend fun clients(): List<ClientAccess> = call { account.clients() }.map { it.toFace() }

    /**
     * Takes somebody's access away, by its [ClientAccess.id]. Fails as [clients], and with [WhimbrelException.ServerRefused]
     * (`password-reset-required`) where only another password keeps it out.
     */
    public suspend fun revokeClient(id: String): Unit = call { account.revokeClient(id) }

    /**
     * Writes all that the account has to a file that this device, another one, or other software can take back (XEP-0227). Never
     * passwords, tokens or keys; but it is not encrypted. Returns how many messages it holds. Fails with
     * [WhimbrelException.StorageFull], with [WhimbrelException.DatabaseUnusable] where it cannot be written, and with
     * [WhimbrelException.Suspended], also where the account is suspended meanwhile. A process that is killed meanwhile leaves its
     * beginning, under this name with `.new` behind it.
     */
    public suspend fun exportTo(path: String): Long = call { account.exportTo(path) }.toLong()

    /**
     * Takes what [exportTo] has written on this or another device, or another server or app in the form of XEP-0227. What is here
     * already is not taken twice, so it can be repeated. Fails with [WhimbrelException.NotFound] where there is no such file, and with
     * [WhimbrelException.InvalidInput] where it is of other accounts, or damaged: then it says where, and how much was taken before.
     */
    public suspend fun importFrom(path: String): Imported = call { account.importFrom(path) }.toFace()

    /** What the account takes on the disk. */
    public suspend fun diskUse(): DiskUse = call { account.diskUse() }.toFace()

    /**
     * Adds who has invited us by a link (XEP-0379): they are asked with the link's token, so that they accept without being asked
     * about, and are accepted when they ask in turn, within a month. Fails with [WhimbrelException.InvalidInput] where it can be no
     * token.
     */
    public suspend fun addInviter(address: String, token: String, name: String? = null): Unit =
        call { account.addInviter(address, name, token) }

    /**
     * A link by which somebody becomes a contact without our being asked: whoever opens it first. Our server makes it where it knows
     * how (XEP-0401); else it is our own (XEP-0379), suggests [name], counts for [validFor], and is accepted by this device.
     */
    public suspend fun invite(validFor: Duration, name: String? = null): Invitation =
        call { account.invite(name, validFor.toFfi()) }.toFace()

    /**
     * A link by which somebody may register on our server, under this name or any (XEP-0401 §5.4). Fails with
     * [WhimbrelException.Offline], [WhimbrelException.TimedOut], and [WhimbrelException.ServerRefused] where we may not, or the server
     * does not know how.
     */
    public suspend fun inviteToServer(username: String? = null): Invitation = call { account.inviteToServer(username) }.toFace()

    /**
     * Sends a text and returns its id when it is durable: how far it comes is the [Message.state] of its item.
     *
     * A call that was cancelled or killed may have been taken. Who repeats it with the same [id] sends one message. Fails with
     * [WhimbrelException.InvalidInput] where the id is no UUID or the text is empty or too long, [WhimbrelException.StorageFull],
     * [WhimbrelException.DatabaseUnusable].
     */
    public suspend fun send(text: String, to: String, id: String = newId()): String = send(Outgoing(text), to, id)

    /**
     * The same for what has more to it than a text. Fails with [WhimbrelException.NotFound], too, where what it answers is not in
     * this conversation.
     */
    public suspend fun send(what: Outgoing, to: String, id: String = newId()): String = call { account.send(id, to, what.toFfi()) }

    /**
     * Gives a message of ours another text (XEP-0308). What has not left yet leaves with it; else a correction follows. Returns when
     * it is durable: until it has left, it is the [Message.change] of the item.
     *
     * The [id] is the change's: who repeats a call with it has done it once. What has failed becomes another message, under this id,
     * that [retry] sends: the first one may be known somewhere as it was. Mentions, links and previews are those of the old text, and
     * go with it. Fails with [WhimbrelException.NotFound]; with
     * [WhimbrelException.InvalidInput] as [send], and where the message is not ours or was retracted;
     * with [WhimbrelException.StorageFull] or [WhimbrelException.DatabaseUnusable].
     */
    public suspend fun edit(message: String, text: String, id: String = newId()): Unit = call { account.edit(id, message, text) }

    /**
     * Takes a message of ours back (XEP-0424). What has not left yet is gone; others are asked to forget it, and need not. Fails as
     * [edit].
     */
    public suspend fun retract(message: String, id: String = newId()): Unit = call { account.retract(id, message) }

    /**
     * All that we feel about a message, in the place of what we said before (XEP-0444); nothing takes it all back. Fails as [edit],
     * but for anybody's message; with [WhimbrelException.InvalidInput] where one is empty or longer than 64 bytes, or there are more
     * than 32.
     */
    public suspend fun react(message: String, reactions: List<String>, id: String = newId()): Unit =
        call { account.react(id, message, reactions) }

    /**
     * Sends once more what failed: a message, or the [Message.change] of one, by its id. Fails with [WhimbrelException.NotFound], and
     * with [WhimbrelException.InvalidInput] where it has not failed, or is a change and another one was made since.
     */
    public suspend fun retry(id: String): Unit = call { account.retry(id) }

    /**
     * Does not send what has not left yet, and forgets what failed: a message, or the [Message.change] of one, by its id. Fails with
     * [WhimbrelException.NotFound], and with [WhimbrelException.InvalidInput] where it is under way or sent.
     */
    public suspend fun cancel(id: String): Unit = call { account.cancel(id) }

    /**
     * Deletes a message on this device and no other. Whatever brings it again, it does not come back; what was not sent yet is not
     * sent. Fails with [WhimbrelException.NotFound].
     */
    public suspend fun deleteMessage(message: String): Unit = call { account.delete(FfiDelete.Message(message)) }

    /** Deletes all that was said with a contact so far, as [deleteMessage]. */
    public suspend fun deleteConversation(with: String): Unit = call { account.delete(FfiDelete.Conversation(with)) }

    /** Deletes everything, in all conversations, that reached the server or us before some time, as [deleteMessage]. */
    public suspend fun deleteBefore(time: Instant): Unit = call { account.delete(FfiDelete.Before(time.toEpochMilliseconds())) }

    /**
     * A conversation's newest [limit] messages, and all that come. Days begin by the device's clock of now.
     *
     * @param at a message to show instead of the newest, such as a [Hit]'s: half of the others are older, and it pages both ways.
     *   Fails with [WhimbrelException.NotFound] where the conversation has no such message
     */
    public suspend fun timeline(with: String, limit: Int = 50, at: String? = null): Timeline {
        val timeline = Timeline(with, call { account.timeline(with, limit.toCount(), at) })
        timeline.setUtcOffset(ZonedDateTime.now().offset.totalSeconds.seconds)
        return timeline
    }

    /**
     * Looks for messages, the newest first, up to [limit] of them, 1 to 500. What has just come is found, too.
     *
     * @param before where the page before this one ended: its [Found.next]
     */
    public suspend fun search(search: Search, limit: Int = 50, before: Cursor? = null): Found =
        call { account.search(search.toFfi(), before?.cursor, limit.toCount()) }.toFace()

    /** All conversations: the pinned ones first, the archived ones last, among each the newest first. */
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
     * Keeps what was begun and not sent in a conversation, over kills, too; `null`, or an empty draft: no longer. Sending its text
     * ends it. It stays on this device. Each call writes to the disk: not for every key.
     */
    public suspend fun setDraft(draft: Draft?, with: String): Unit = call { account.setDraft(with, draft?.toFfi()) }

    /**
     * Whether a conversation stands above those that are not pinned. This, and [setMuted], [setArchived] and [setNotify], is decided for
     * all of our devices; of two decisions the later counts.
     */
    public suspend fun setPinned(pinned: Boolean, with: String): Unit = call { account.setPinned(with, pinned) }

    /** Until when nothing in a conversation is notified of; `null`: from now on again. */
    public suspend fun setMuted(muted: Mute?, with: String): Unit = call { account.setMuted(with, muted?.toFfi()) }

    /** Whether a conversation stands apart, behind all others. A message brings it back, unless it is muted. */
    public suspend fun setArchived(archived: Boolean, with: String): Unit = call { account.setArchived(with, archived) }

    /** Of what in a conversation to be notified (XEP-0492), while it is not muted. */
    public suspend fun setNotify(notify: Notify, with: String): Unit = call { account.setNotify(with, notify.toFfi()) }

    /**
     * Tells a contact that we are typing, or no longer (XEP-0085). Not kept, not repeated. Once when it begins and once when it pauses, not
     * for every key; a message that is sent ends it. Who knows no chat states, strangers, and those for whom [Signals.typing] is off are
     * sent nothing, which is no error. Fails with [WhimbrelException.Offline].
     */
    public suspend fun setChatState(state: ChatState, with: String): Unit = call { account.setChatState(with, state.toFfi()) }

    /** Adds or renames a contact and asks to see their presence (RFC 6121 §2.3, §3.1). Can be done offline. */
    public suspend fun addContact(address: String, name: String? = null): Unit = call { account.addContact(address, name) }

    /** Changes how a contact is called and grouped, and nothing else (RFC 6121 §2.4). */
    public suspend fun editContact(address: String, name: String?, groups: List<String>): Unit =
        call { account.editContact(address, name, groups) }

    /**
     * Hears no more of an account, one of its devices, or a whole server, and tells the server why, if that is given (XEP-0191,
     * 0377). Returns when it is durable: the server is told as soon as there is a connection. One that does not know how to block
     * refuses; then the address is off the list again.
     */
    public suspend fun block(address: String, report: Report? = null): Unit = call { account.block(address, report?.toFfi()) }

    /** Hears of them again. */
    public suspend fun unblock(address: String): Unit = call { account.unblock(address) }

    /** The addresses of whom we do not hear. */
    public suspend fun blocked(): List<String> = call { account.blocked() }

    /** The picture of this hash, which a [Contact] or a [Conversation] has; `null` where it is not here. */
    public suspend fun avatar(hash: String): Picture? = call { account.avatar(hash) }?.toFace()

    /**
     * Shows this picture of ourselves, or none (XEP-0084). Returns when it is durable. Fails with [WhimbrelException.InvalidInput]
     * where it is none, or larger than a MiB or than the server takes.
     */
    public suspend fun setAvatar(picture: Picture?): Unit = call { account.setAvatar(picture?.toFfi()) }

    /** Tells contacts what we are called (XEP-0172); empty: nothing. Returns when it is durable. */
    public suspend fun setNickname(name: String): Unit = call { account.setNickname(name) }

    /** How we are there, as it was set last; also while we are offline. At first [Presence.Show.AVAILABLE] without a text. */
    public suspend fun presence(): Presence = call { account.presence() }.toFace()

    /**
     * How we are there, as those see it who may see our presence, and what we say of it (RFC 6121 §4.7.2); `null` or empty: nothing. It
     * stays on this device; each of our devices has its own. Returns when it is durable: it is said at once or as soon as there is a
     * connection, and again by every new session. Fails with [WhimbrelException.InvalidInput] for a text of more than 1024 bytes or
     * with control characters.
     */
    public suspend fun setPresence(show: Presence.Show, text: String? = null): Unit =
        call { account.setPresence(show.toFfi(), text) }

    /**
     * What somebody says of themselves at length (XEP-0292, XEP-0054), as their server has it now; we ourselves, too. Empty where they
     * say nothing, or nothing to us. Fails with [WhimbrelException.Offline], [WhimbrelException.TimedOut],
     * [WhimbrelException.ServerRefused].
     */
    public suspend fun card(of: String): Card = call { account.card(of) }.toFace()

    /** The same as it was when it was last read, and our own as it was last set; for showing it at once, and offline. */
    public suspend fun knownCard(of: String): KnownCard? = call { account.knownCard(of) }?.toFace()

    /**
     * Says this of ourselves at length. What the server has of us and a card has no place for stays. Returns when it is durable; the
     * server has it as soon as there is a connection. Fails with [WhimbrelException.InvalidInput] where a value is empty or too long,
     * or there are too many.
     */
    public suspend fun setCard(card: Card, audience: Audience): Unit = call { account.setCard(card.toFfi(), audience.toFfi()) }

    /** Removes a contact (RFC 6121 §2.5). The messages stay. */
    public suspend fun removeContact(address: String): Unit = call { account.removeContact(address) }

    /**
     * Lets a contact see our presence (RFC 6121 §3.1.4), also one that has not asked yet (§3.4): once they ask they are answered.
     */
    public suspend fun acceptContact(address: String): Unit = call { account.acceptContact(address) }

    /** Does not let them see our presence (RFC 6121 §3.2), whether they ask, were accepted before they did, or see it now. */
    public suspend fun declineContact(address: String): Unit = call { account.declineContact(address) }

    /** What contacts are told in general. */
    public suspend fun signals(): Signals = call { account.signals() }.toFace()

    /**
     * What contacts are told of what we do, unless it is decided otherwise for one of them. It stays on this device. Strangers are told
     * nothing, whatever is decided.
     */
    public suspend fun setSignals(signals: Signals): Unit = call { account.setSignals(signals.toFfi()) }

    /** What one of them is told; `null`: as in general. */
    public suspend fun setSignals(signals: Signals?, with: String): Unit = call { account.setSignalsWith(with, signals?.toFfi()) }

    /** Whether to notify of what strangers write: see [Conversation.isStranger]. At first it is so. */
    public suspend fun setNotifyOfStrangers(on: Boolean): Unit = call { account.setNotifyOfStrangers(on) }

    /**
     * A node of this name (XEP-0060), which need not be there yet.
     *
     * @param of the address of whose it is, an account or a service; `null`: our own (XEP-0163)
     */
    public fun node(name: String, of: String? = null): Node =
        Node(name, of ?: address, answered { account.node(name, of) })

    /**
     * Our subscriptions to nodes of a publish-subscribe service or of an account (XEP-0060 §5.6). A device may have one of its own.
     * Fails with [WhimbrelException.Offline], [WhimbrelException.TimedOut], [WhimbrelException.ServerRefused].
     *
     * @param node to which; `null`: to all
     */
    public suspend fun subscriptionsAt(service: String, node: String? = null): List<NodeSubscription> =
        call { account.subscriptionsAt(service, node) }.map { it.toFace() }

    /**
     * What we may do with nodes of a publish-subscribe service or of an account (XEP-0060 §5.7), by their names. Where it is nothing
     * special most services leave it out. Fails as [subscriptionsAt].
     *
     * @param node with which; `null`: with all
     */
    public suspend fun affiliationsAt(service: String, node: String? = null): Map<String, Affiliation> =
        call { account.affiliationsAt(service, node) }.mapValues { it.value.toFace() }

    /**
     * From now on tells what contacts and our other devices publish to their nodes of this name (XEP-0163 §4.3), as [Event.Published]
     * and [Event.Retracted]; or no longer. Returns when it is durable. Fails with [WhimbrelException.InvalidInput] for a name of no or
     * more than 1024 bytes, or the hundred-and-first.
     */
    public suspend fun follow(node: String, on: Boolean = true): Unit = call { account.follow(node, on) }

    /** The feed of an account (XEP-0277), which may be our own. It need not be there yet. */
    public fun feed(of: String): Feed = Feed(of, answered { account.feed(of) })

    /** Whether what contacts and our other devices publish in their feeds is kept as it comes. Returns when it is durable. */
    public suspend fun followFeeds(on: Boolean = true): Unit = call { account.followFeeds(on) }

    /**
     * What an address, or a node of it, is and can do (XEP-0030 §3). Fails with [WhimbrelException.Offline],
     * [WhimbrelException.TimedOut], [WhimbrelException.ServerRefused].
     */
    public suspend fun info(of: String, node: String? = null): Info = call { account.info(of, node) }.toFace()

    /**
     * What belongs to an address, or to a node of it (XEP-0030 §4). Fails as [info].
     *
     * @param after behind these: a page's [Entities.next]
     */
    public suspend fun itemsOf(address: String, node: String? = null, after: String? = null): Entities =
        call { account.itemsOf(address, node, after) }.toFace()

    /** What a service does for us on command (XEP-0050 §2.3): each has the node that [execute] takes. Fails as [info]. */
    public suspend fun commandsOf(address: String): List<Entity> = call { account.commandsOf(address) }.map { it.toFace() }

    /** Has a service execute a command, which may ask for more before it is done. Fails as [info]. */
    public suspend fun execute(node: String, of: String): AdHoc = AdHoc(call { account.execute(of, node) })

    /**
     * Asks anybody anything (RFC 6120 §8.2.3) with one well-formed element. Returns what was answered: one element, or `null`. Fails as
     * [info], and with [WhimbrelException.InvalidInput] where it is not one element, or larger than the server takes.
     */
    public suspend fun request(xml: String, of: String, kind: RequestKind = RequestKind.GET): String? =
        call { account.request(of, kind.toFfi(), xml) }

    /**
     * The app speaks this namespace from now on, or no longer, and on this device: in questions to us, told as [Event.Asked], or in
     * messages that have no text, told as [Event.NewPayload]. What came before is not looked at again: it is claimed before the first
     * sign-in. Of strangers nothing is told. Fails with [WhimbrelException.InvalidInput] for what is no namespace, is spoken here
     * already, or is one too many.
     */
    public suspend fun claim(namespace: String, what: ClaimKind, on: Boolean = true): Unit =
        call { account.claim(namespace, what.toFfi(), on) }

    /**
     * Answers what we were asked; what is not answered within a minute is refused. Returns when it is durable. Fails
     * with [WhimbrelException.NotFound] where it was answered, or asked in an earlier session, and with
     * [WhimbrelException.InvalidInput] where the answer is not one element, too large, or no condition.
     */
    public suspend fun answer(asked: Event.Asked, answer: Answer): Unit =
        call { account.answer(asked.id, answer.toFfi()) }

    /**
     * Sends something that only the app understands, in a message that is shown to nobody: one well-formed element in a namespace that
     * is claimed. As with [send] it is durable when this returns, and the same [id] is the same message. Fails with
     * [WhimbrelException.InvalidInput], [WhimbrelException.StorageFull], [WhimbrelException.DatabaseUnusable].
     */
    public suspend fun sendPayload(xml: String, to: String, id: String = newId()): String =
        call { account.sendPayload(id, to, xml) }

    /**
     * What was exchanged with a contact in a namespace, in the archive's order, up to [limit] of it, 1 to 500. What comes late may stand
     * before what was read: after [sync] it is complete.
     *
     * @param after behind this one, by its id. Fails with [WhimbrelException.NotFound] where there is none
     */
    public suspend fun payloads(with: String, namespace: String, limit: Int = 50, after: String? = null): List<Payload> =
        call { account.payloads(with, namespace, after, limit.toCount()) }.map { it.toFace() }

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
    public suspend fun sync(timeout: Duration): Unit = call { account.sync(timeout.toFfi()) }

    /**
     * Sends a stanza as it is: one well-formed `message`, `presence` or `iq`. It is counted, kept and resent like any other of ours.
     * Fails with [WhimbrelException.InvalidInput] where it is not.
     */
    public suspend fun sendRaw(xml: String): Unit = call { account.sendRaw(xml) }

    override fun toString(): String = "Account($address)"
}

internal fun newId() = UUID.randomUUID().toString()

/**
 * What is to be sent.
 *
 * @property text the text, without what it answers
 * @property replyTo the message in the same conversation that it answers (XEP-0461)
 * @property spoiler to be shown only when asked for, with this hint, which may be empty (XEP-0382)
 * @property thread the thread that it belongs to (RFC 6121 §5.2.5)
 * @property links data that lies elsewhere (XEP-0066)
 * @property previews what links in the text lead to (XEP-0511)
 * @property mentions who is named in the text (XEP-0372), 32 at most
 * @property notAfter not to leave later than this: then it has failed
 */
public data class Outgoing(
    val text: String,
    val replyTo: String? = null,
    val spoiler: String? = null,
    val thread: Message.Thread? = null,
    val links: List<Message.Link> = emptyList(),
    val previews: List<Message.Preview> = emptyList(),
    val mentions: List<Mention> = emptyList(),
    val notAfter: Instant? = null,
) {
    /**
     * Somebody is named in the text, from [start] to before [end] as `substring` counts. No two overlap.
     *
     * @property whom their address
     */
    public data class Mention(val start: Int, val end: Int, val whom: String)
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
     * @property notify whether to notify of it, if nobody looks at its conversation: it was not read here or on another device, and its
     *   user wants to be notified of such messages. Whether another device is in use at this moment is not known. What is shown of it is
     *   to be taken back when its conversation has nothing unread any more, or when [Changed] says that it was retracted
     */
    public data class NewMessage(val message: Message, val notify: Boolean) : Event

    /**
     * A message was corrected, retracted or reacted to.
     *
     * @property message so it is shown now
     */
    public data class Changed(val message: Message) : Event

    /**
     * A message of ours came further.
     *
     * @property id which
     * @property with the address of whom the conversation is with
     * @property state how far
     */
    public data class State(val id: String, val with: String, val state: SendState) : Event

    /**
     * We are asked something in a namespace that the app has claimed, by somebody who may see us. It is to be answered within a minute:
     * see [Account.answer].
     *
     * @property id unique in the account
     * @property from the full address of who asks; `null`: our server
     * @property kind how
     * @property xml one element
     */
    public data class Asked(val id: Long, val from: String?, val kind: RequestKind, val xml: String) : Event

    /**
     * Something in a message that only the app understands is new here.
     *
     * @property payload it
     */
    public data class NewPayload(val payload: Payload) : Event

    /**
     * Something in a feed is new, changed or gone.
     *
     * @property of the address of whose it is
     */
    public data class FeedChanged(val of: String) : Event

    /**
     * Items were published to a node that is followed or subscribed to.
     *
     * @property of the address of whose node it is: an account's or a service's
     * @property node its name
     * @property items they; of very many the first
     */
    public data class Published(val of: String, val node: String, val items: List<NodeItem>) : Event

    /**
     * Items of such a node were taken back.
     *
     * @property of the address of whose node it is
     * @property node its name
     * @property ids they; none: all that there were
     */
    public data class Retracted(val of: String, val node: String, val ids: List<String>) : Event

    /**
     * Our subscription to a node is another: its owner has approved it, declined it or ended it (XEP-0060 §12.11).
     *
     * @property of the address of whose node it is
     * @property node its name
     * @property state how far it is now
     */
    public data class SubscriptionChanged(val of: String, val node: String, val state: NodeSubscription.State) : Event

    /**
     * A change of the password has come to its end.
     *
     * @property change to which
     */
    public data class Password(val change: PasswordChange) : Event

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

/** How a change of the password has ended. */
public sealed interface PasswordChange {
    /** The new one counts. */
    public data object Done : PasswordChange

    /**
     * The old one counts.
     *
     * @property condition why the server did not take the new one (RFC 6120 §8.3.3)
     */
    public data class Refused(val condition: String) : PasswordChange
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
