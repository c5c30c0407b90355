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

/** A window of a conversation that reaches from some message to the newest. */
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
     * waits. Fails with [WhimbrelException.Closed].
     */
    public val items: Flow<List<TimelineItem>> = followed.items

    /** The same as differences, for who keeps a list: the first is the whole of it. */
    public val updates: Flow<Update<TimelineItem>> = followed.updates

    /**
     * Shows up to [limit] older messages: from the file, and where it has fewer, from the server's archive. Returns whether there may
     * be more. Fails with [WhimbrelException.Offline] where the file has no more and the archive cannot be asked, or with
     * [WhimbrelException.ServerRefused].
     */
    public suspend fun older(limit: Int = 50): Boolean = call { timeline.older(limit.toCount()) }

    /** The local time's offset from UTC, by which [Message.startsDay] is told, for when the device's has changed. */
    public fun setUtcOffset(offset: Duration): Unit = answered { timeline.setUtcOffset(offset.inWholeMinutes.toInt()) }
}

/** All conversations of an account, the newest first. */
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
    val startsDay: Boolean,
    val startsGroup: Boolean,
) : TimelineItem

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
 * @property name the contact's name, or else the local part of the address
 * @property last the newest message
 * @property unread how many were not read
 * @property chatState what the contact is doing
 */
public data class Conversation(
    val with: String,
    val name: String,
    val last: Message?,
    val unread: Long,
    val chatState: ChatState?,
)

/**
 * One line of the roster (RFC 6121 §2).
 *
 * @property address whose
 * @property name the name that the user gave
 * @property subscription who sees whose presence
 * @property asked our request to see their presence was not answered yet
 * @property asks they ask to see our presence
 * @property available any of their devices is online
 */
public data class Contact(
    val address: String,
    val name: String?,
    val subscription: Subscription,
    val asked: Boolean,
    val asks: Boolean,
    val available: Boolean,
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
