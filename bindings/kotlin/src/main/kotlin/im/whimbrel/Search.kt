package im.whimbrel

import im.whimbrel.ffi.Cursor as FfiCursor
import kotlin.time.Instant

/**
 * What to look for. All that is given has to be so.
 *
 * @property text words, in any order, each of which may go on from two letters on; what stands in double quotes has to stand so. May be
 *   empty where [from] or [hasLink] is given; else nothing is found
 * @property with in the conversation with this address
 * @property from written by the account's own user, if it is the account's address, or by a contact
 * @property since not before this
 * @property until before this
 * @property hasLink there is a link in it
 */
public data class Search(
    val text: String,
    val with: String? = null,
    val from: String? = null,
    val since: Instant? = null,
    val until: Instant? = null,
    val hasLink: Boolean = false,
)

/**
 * A page of hits.
 *
 * @property hits the newest first
 * @property next where to go on; `null`: that was all
 */
public data class Found(val hits: List<Hit>, val next: Cursor?)

/**
 * A message that was found. To open it where it stands: [Account.timeline] at its id.
 *
 * @property message it
 * @property matches what in its text to highlight, in order, as `substring` counts
 */
public data class Hit(val message: Message, val matches: List<IntRange>)

/**
 * A message that was found in one of all accounts: see [Client.search].
 *
 * @property account the address of whose it is
 * @property hit it
 * @property cursor where it stands among theirs
 */
public data class FoundIn(val account: String, val hit: Hit, val cursor: Cursor)

/** Where a page of hits has ended. */
public class Cursor internal constructor(internal val cursor: FfiCursor) {
    override fun equals(other: Any?): Boolean = other is Cursor && cursor == other.cursor

    override fun hashCode(): Int = cursor.hashCode()
}
