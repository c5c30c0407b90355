package im.whimbrel

import im.whimbrel.ffi.ContactList as FfiContactList
import im.whimbrel.ffi.ConversationList as FfiConversationList
import im.whimbrel.ffi.Timeline as FfiTimeline
import kotlin.time.Duration
import kotlin.time.Instant
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.withContext

/** A window of a conversation. It reaches from some message to the newest, or, where it was opened at a message, to another. */
public class Timeline internal constructor(
    /** The address of whom the conversation is with. */
    public val with: String,
    private val timeline: FfiTimeline,
) {
    private val followed = Followed(timeline::subscribe) { after ->
        next(after).run { seq to Update(splices.map { splice(it.at, it.removed, it.items) { item -> item.toFace() } }) }
    }

    /**
     * What is shown, oldest first: now, and again whenever it has changed. Each is a list of its own that never changes; a line that
     * did not change is the same object in the next.
     *
     * While the collector is busy nothing is fetched, and what changes meanwhile comes as one. While the account is suspended it
     * waits. Fails with [WhimbrelException.Closed], and with [WhimbrelException.DatabaseUnusable] where the file is damaged.
     */
    public val items: Flow<List<TimelineItem>> = followed.items

    /** The same as differences, for who keeps a list: the first is the whole of it. */
    public val updates: Flow<Update<TimelineItem>> = followed.updates

    /**
     * Shows up to [limit] older messages: from the file, and where it has fewer, from the server's archive. Returns whether there may
     * be more: where many pages of the archive have nothing of this conversation, nothing is shown and it is to be asked again. Fails
     * with [WhimbrelException.Offline], [WhimbrelException.TimedOut] or [WhimbrelException.ServerRefused] where the file has no more and
     * the archive cannot be asked.
     */
    public suspend fun older(limit: Int = 50): Boolean = call { timeline.older(limit.toCount()) }

    /**
     * Shows up to [limit] newer messages, where it does not reach to the newest, as it was opened at a message. Returns whether there
     * are more; once there are none it shows whatever comes.
     */
    public suspend fun newer(limit: Int = 50): Boolean = call { timeline.newer(limit.toCount()) }

    /** The local time's offset from UTC, by which [Message.startsDay] is told, for when the device's has changed. */
    public fun setUtcOffset(offset: Duration): Unit = answered { timeline.setUtcOffset(offset.inWholeMinutes.toInt()) }
}

/** All conversations of an account: the pinned ones first, the archived ones last, among each the newest first. */
public class ConversationList internal constructor(list: FfiConversationList) {
    private val followed = Followed(list::subscribe) { after ->
        next(after).run { seq to Update(splices.map { splice(it.at, it.removed, it.items) { line -> line.toFace() } }) }
    }

    /** What is shown: now, and again whenever it has changed. As [Timeline.items]. */
    public val items: Flow<List<Conversation>> = followed.items

    /** The same as differences. */
    public val updates: Flow<Update<Conversation>> = followed.updates
}

/** The roster of an account (RFC 6121 §2) and who asks to be in it, by address. */
public class ContactList internal constructor(list: FfiContactList) {
    private val followed = Followed(list::subscribe) { after ->
        next(after).run { seq to Update(splices.map { splice(it.at, it.removed, it.items) { line -> line.toFace() } }) }
    }

    /** What is shown: now, and again whenever it has changed. As [Timeline.items]. */
    public val items: Flow<List<Contact>> = followed.items

    /** The same as differences. */
    public val updates: Flow<Update<Contact>> = followed.updates
}

/**
 * A change of a list.
 *
 * @property splices applied in order, as one
 */
public data class Update<out T>(val splices: List<Splice<T>>)

/**
 * Remove [removed] lines at [at], then insert [items] there.
 *
 * @property at where, after the splices before this one
 * @property removed how many lines go
 * @property items what comes in their place
 */
public data class Splice<out T>(val at: Int, val removed: Int, val items: List<T>)

/** Does to a list what the update says. */
public fun <T> Update<T>.applyTo(list: MutableList<T>) {
    for ((at, removed, items) in splices) {
        val place = list.subList(at, at + removed)
        place.clear()
        place.addAll(items)
    }
}

/** One subscription for each collector, which pulls: away from its own thread, and not before it has taken what came last. */
private class Followed<S : AutoCloseable, T>(subscribe: () -> S, next: suspend S.(after: ULong) -> Pair<ULong, Update<T>>) {
    val updates: Flow<Update<T>> = flow {
        answered(subscribe).use { subscription ->
            var after = 0uL
            while (true) {
                val (seq, update) = call { subscription.next(after) }
                after = seq
                emit(update)
            }
        }
    }

    val items: Flow<List<T>> = flow {
        var items = emptyList<T>()
        updates.collect { update ->
            items = withContext(Dispatchers.Default) {
                buildList(items.size) {
                    addAll(items)
                    update.applyTo(this)
                }
            }
            emit(items)
        }
    }
}

/** One line of a timeline. */
public sealed interface TimelineItem {
    /** Stable for ever. */
    public val id: String
}

/**
 * One message, shaped for the view.
 *
 * @property with the address of whom the conversation is with
 * @property from the full address of who wrote it
 * @property mine whether we wrote it, here or on another device
 * @property text the text; for a placeholder, a description of what could not be shown
 * @property spans which parts of the text are more than plain, by where they begin
 * @property isAction it begins with `/me `: to be shown as what its sender does, with the name in place of `/me`
 * @property emojiOnly a few emoji and nothing else: to be shown large
 * @property placeholder what could not be built or handled stands as a placeholder
 * @property at when it reached the server or us
 * @property writtenAt when its sender says it was written, where that is earlier
 * @property state how far it has come, if it is ours
 * @property edited its text is not the one that was sent first (XEP-0308)
 * @property retracted its sender has taken it back (XEP-0424): there is no text any more
 * @property reactions what people feel about it (XEP-0444)
 * @property reply what it answers (XEP-0461)
 * @property spoiler to be shown only when asked for; the hint may be empty (XEP-0382)
 * @property thread the thread that it belongs to (RFC 6121 §5.2.5)
 * @property links data that lies elsewhere (XEP-0066)
 * @property previews what its sender says of links in the text (XEP-0511); nobody has looked whether it is so
 * @property change what we did to it and has not left yet, or failed
 * @property startsDay the first of its day
 * @property startsGroup the first of a run by one sender within five minutes
 */
public data class Message(
    override val id: String,
    val with: String,
    val from: String,
    val mine: Boolean,
    val text: String,
    val spans: List<TextSpan>,
    val isAction: Boolean,
    val emojiOnly: Boolean,
    val placeholder: Boolean,
    val at: Instant,
    val writtenAt: Instant?,
    val state: SendState?,
    val edited: Boolean,
    val retracted: Boolean,
    val reactions: List<Reaction>,
    val reply: ReplyTo?,
    val spoiler: String?,
    val thread: Thread?,
    val links: List<Link>,
    val previews: List<Preview>,
    val change: Change?,
    val startsDay: Boolean,
    val startsGroup: Boolean,
) : TimelineItem {
    /**
     * One reaction to a message (XEP-0444).
     *
     * @property text an emoji, most often
     * @property count how many feel so
     * @property mine whether we do
     */
    public data class Reaction(val text: String, val count: Int, val mine: Boolean)

    /**
     * What a message answers (XEP-0461).
     *
     * @property id the message, if it is here
     * @property quote what the answer repeats of it, as its sender says
     */
    public data class ReplyTo(val id: String?, val quote: String?)

    /**
     * A thread of a conversation (RFC 6121 §5.2.5).
     *
     * @property id its name
     * @property parent the thread of which it is a branch (XEP-0201)
     */
    public data class Thread(val id: String, val parent: String? = null)

    /**
     * Data that lies elsewhere (XEP-0066).
     *
     * @property url where it lies
     * @property description what it is
     */
    public data class Link(val url: String, val description: String? = null)

    /**
     * What its sender says of a link in the text (XEP-0511).
     *
     * @property url which link
     * @property title its title
     * @property description what it is about
     * @property site which site it is of
     * @property images pictures of it
     */
    public data class Preview(
        val url: String,
        val title: String? = null,
        val description: String? = null,
        val site: String? = null,
        val images: List<String> = emptyList(),
    )

    /**
     * Something that we did to a message and that has not left yet, or failed.
     *
     * @property id its own, for [Account.retry] and [Account.cancel]
     * @property kind what
     * @property state [SendState.Queued] or [SendState.Failed]
     */
    public data class Change(val id: String, val kind: Kind, val state: SendState) {
        /** What one may do to a message. */
        public enum class Kind {
            /** Another text (XEP-0308). */
            CORRECTION,

            /** It was taken back (XEP-0424). */
            RETRACTION,

            /** Other reactions (XEP-0444). */
            REACTIONS,
        }
    }
}

/**
 * A part of a text that is more than plain, from [start] to before [end] as `substring` counts.
 *
 * @property style what it is
 */
public data class TextSpan(val start: Int, val end: Int, val style: Style) {
    /** What a part of a text is. */
    public sealed interface Style {
        /** What only makes a style, such as a `*`, in the text as it was written: to be dimmed, or left out. */
        public data object Directive : Style

        /** Strong. */
        public data object Strong : Style

        /** Emphasis. */
        public data object Emphasis : Style

        /** Struck through. */
        public data object Strike : Style

        /** Monospaced, within a line. */
        public data object Mono : Style

        /** A block as it was written, in a font of one width. */
        public data object Preformatted : Style

        /** Lines that somebody said before. One within another is nested. */
        public data object Quote : Style

        /**
         * To somewhere else. Nobody may follow it before a person has said so.
         *
         * @property url where to: `http`, `https`, `xmpp`, `mailto` or `tel`
         */
        public data class Link(val url: String) : Style

        /**
         * A place on the earth (RFC 5870), in WGS 84.
         *
         * @property latitude degrees north
         * @property longitude degrees east
         * @property altitude metres above the ellipsoid
         * @property uncertainty how far off it may be, in metres
         */
        public data class Location(
            val latitude: Double,
            val longitude: Double,
            val altitude: Double?,
            val uncertainty: Double?,
        ) : Style

        /**
         * Somebody is meant by it (XEP-0372).
         *
         * @property whom the address of who
         */
        public data class Mention(val whom: String) : Style
    }
}

/**
 * A hole in what we have of the archive. Its id is different from every message's.
 *
 * @property kind what kind of hole
 */
public data class Gap(override val id: String, val kind: Kind) : TimelineItem {
    /** What kind of hole. */
    public enum class Kind {
        /** Messages were missed and are being fetched. */
        MISSING,

        /** From before the first sign-in on this device; fetched by [Timeline.older]. */
        UNFETCHED,

        /** The server no longer has it. */
        NO_LONGER_ON_SERVER,
    }
}

/** How far a message of ours has come. */
public sealed interface SendState {
    /** On disk here. */
    public data object Queued : SendState

    /** Taken over by our server. */
    public data object Sent : SendState

    /** Received by a device of the contact (XEP-0184). */
    public data object Delivered : SendState

    /** Seen by the contact (XEP-0333). */
    public data object Displayed : SendState

    /**
     * It will not arrive.
     *
     * @property reason the condition
     */
    public data class Failed(val reason: String) : SendState
}

/**
 * One line of the conversation list.
 *
 * @property with the address of whom it is with
 * @property name the contact's name, or else what they call themselves, or else the local part of the address
 * @property avatar their picture's hash, once the picture is here: see [Account.avatar]
 * @property blocked we do not hear of them (XEP-0191)
 * @property last the newest message; `null` where it was only begun
 * @property unread how many were not read
 * @property chatState what the contact is doing
 * @property draft what was begun and not sent
 * @property isStranger somebody who is not in our roster and whom we have never written to: they learn nothing of us until we do, or
 *   add or accept them. They stand behind those whom we know
 * @property signals what they are told of what we do, where that is otherwise than in general
 * @property pinned it stands above those that are not
 * @property muted until when nothing in it is notified of
 * @property archived it stands apart, behind all others
 * @property notify of what in it to be notified, while it is not muted
 */
public data class Conversation(
    val with: String,
    val name: String,
    val avatar: String?,
    val blocked: Boolean,
    val last: Message?,
    val unread: Long,
    val chatState: ChatState?,
    val draft: Draft?,
    val isStranger: Boolean,
    val signals: Signals?,
    val pinned: Boolean,
    val muted: Mute?,
    val archived: Boolean,
    val notify: Notify,
)

/**
 * What was begun and not sent.
 *
 * @property text the text so far
 * @property replyTo which message it answers
 */
public data class Draft(val text: String, val replyTo: String? = null)

/**
 * What contacts are told of what we do, without our writing it; only those who may see our presence.
 *
 * @property delivered that their messages have arrived (XEP-0184)
 * @property displayed that we have seen them (XEP-0333)
 * @property typing that we are typing, or look (XEP-0085); those, too, whom we have written to
 */
public data class Signals(val delivered: Boolean = true, val displayed: Boolean = true, val typing: Boolean = true)

/** Until when a conversation is muted. */
public sealed interface Mute {
    /**
     * Until some time.
     *
     * @property time which
     */
    public data class Until(val time: Instant) : Mute

    /** Until it is said otherwise. */
    public data object ForEver : Mute
}

/** Of what in a conversation to be notified (XEP-0492). */
public enum class Notify {
    /** Of every message. */
    ALWAYS,

    /** Of those that mention us, by address (XEP-0372) or by name, or answer us (XEP-0461). */
    ON_MENTION,

    /** Of none. */
    NEVER,
}

/**
 * One line of the roster (RFC 6121 §2).
 *
 * @property address whose
 * @property name the name that the user gave
 * @property subscription who sees whose presence
 * @property asked our request to see their presence was not answered yet
 * @property asks they ask to see our presence
 * @property approved we let them see our presence once they ask (RFC 6121 §3.4)
 * @property groups in which groups they are shown
 * @property blocked we do not hear of them (XEP-0191)
 * @property available any of their devices is online
 * @property presence how they are there, if they are
 * @property nickname what they call themselves (XEP-0172)
 * @property avatar their picture's hash (XEP-0084), once the picture is here: see [Account.avatar]
 */
public data class Contact(
    val address: String,
    val name: String?,
    val subscription: Subscription,
    val asked: Boolean,
    val asks: Boolean,
    val approved: Boolean,
    val groups: List<String>,
    val blocked: Boolean,
    val available: Boolean,
    val presence: Presence?,
    val nickname: String?,
    val avatar: String?,
) {
    /** Who sees whose presence (RFC 6121 §2.1.2.5). */
    public enum class Subscription {
        /** Nobody. */
        NONE,

        /** We see theirs. */
        TO,

        /** They see ours. */
        FROM,

        /** Both. */
        BOTH,
    }
}

/**
 * How somebody is there, all of their devices taken together; or how we are, on this one (RFC 6121 §4.7.2).
 *
 * @property show how much they are there: as the device says that is to get messages
 * @property text what they say of it
 * @property idleSince since when nobody has looked at any of their devices (XEP-0319); `null`: somebody looks, or nobody says, as we
 *   never do
 */
public data class Presence(val show: Show, val text: String?, val idleSince: Instant?) {
    /** How much somebody is there (RFC 6121 §4.7.2.1). */
    public enum class Show {
        /** Wants to talk. */
        CHAT,

        /** There. */
        AVAILABLE,

        /** Away for a moment. */
        AWAY,

        /** Away for longer. */
        EXTENDED_AWAY,

        /** Not to be disturbed. */
        DO_NOT_DISTURB,
    }
}

/**
 * A picture, as it is shown.
 *
 * @property kind its media type, as whoever shows it says; what can be decoded is for the decoder to say
 * @property bytes its file
 */
public class Picture(public val kind: String, public val bytes: ByteArray) {
    override fun equals(other: Any?): Boolean = other is Picture && kind == other.kind && bytes.contentEquals(other.bytes)

    override fun hashCode(): Int = 31 * kind.hashCode() + bytes.contentHashCode()

    override fun toString(): String = "Picture($kind, ${bytes.size} bytes)"
}

/**
 * What the server is to know of somebody who is blocked (XEP-0377).
 *
 * @property reason what it is about
 * @property text for a person
 * @property messages the ids of messages that show it; the server finds them in our archive
 */
public data class Report(val reason: Reason, val text: String? = null, val messages: List<String> = emptyList()) {
    /** What a report is about. */
    public enum class Reason {
        /** What nobody wants to read. */
        SPAM,

        /** What hurts. */
        ABUSE,
    }
}
