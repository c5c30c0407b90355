package im.whimbrel

import im.whimbrel.ffi.EntryLink as FfiEntryLink
import im.whimbrel.ffi.Feed as FfiFeed
import im.whimbrel.ffi.FeedEntry as FfiFeedEntry
import im.whimbrel.ffi.Post as FfiPost
import kotlin.time.Instant

/**
 * The feed of an account (XEP-0277, 0472), our own or somebody else's: what they publish for whoever reads it. What has come of it is
 * kept, up to a hundred entries, and read without a connection. Whatever else is asked of it needs one, and fails with
 * [WhimbrelException.Offline], [WhimbrelException.TimedOut] or [WhimbrelException.ServerRefused]. That something in it has changed
 * is told as [Event.FeedChanged].
 */
public class Feed internal constructor(
    /** The address of whose it is. */
    public val of: String,
    private val feed: FfiFeed,
) {
    /**
     * Entries that are here, the newest first, up to [limit] of them.
     *
     * @param before older ones than this, by its id. Fails with [WhimbrelException.NotFound] where there is none of that id
     */
    public suspend fun entries(limit: Int = 50, before: String? = null): List<FeedEntry> =
        call { feed.entries(limit.toCount(), before) }.map { it.toFace() }

    /** Fetches the newest fifty entries: what was published while nobody followed it, or nobody was online. */
    public suspend fun refresh(): Unit = call { feed.refresh() }

    /**
     * Publishes an entry, in place of what has its [id]: so that it can be repeated, and changed. Returns the id when the server has
     * it. Fails also with [WhimbrelException.InvalidInput].
     */
    public suspend fun publish(post: Post, id: String = newId()): String = call { feed.publish(id, post.toFfi()) }

    /** Takes an entry back. */
    public suspend fun retract(id: String): Unit = call { feed.retract(id) }
}

/**
 * What is to be published in a feed.
 *
 * @property title its title, or all that there is of it
 * @property text its content
 * @property author what we are called in it; `null`: the local part of our address
 * @property published when it was first published, where it is published again; `null`: now
 * @property links what it leads to
 */
public data class Post(
    val title: String,
    val text: String? = null,
    val author: String? = null,
    val published: Instant? = null,
    val links: List<FeedEntry.Link> = emptyList(),
)

/**
 * An entry of a feed.
 *
 * @property id its id in the feed
 * @property at when it was published, as it says itself, or when it came here; never in the future
 * @property atomId how its author calls it wherever it appears
 * @property title its title, or all that there is of it
 * @property text its content, or else its summary, as text
 * @property author what its author is called
 * @property authorUri where its author is found: `xmpp:`, most often. Whoever publishes writes what they want
 * @property published when it was published, as it says itself
 * @property updated when it was last changed, as it says itself
 * @property links what it leads to
 */
public data class FeedEntry(
    val id: String,
    val at: Instant,
    val atomId: String?,
    val title: String,
    val text: String?,
    val author: String?,
    val authorUri: String?,
    val published: Instant?,
    val updated: Instant?,
    val links: List<Link>,
) {
    /**
     * A link of an entry (RFC 4287 §4.2.7).
     *
     * @property rel what it is to the entry: `alternate`, `enclosure`, `replies`, …
     * @property href where it leads
     * @property kind the media type of what is there
     * @property title what it is called, for a person
     */
    public data class Link(val rel: String, val href: String, val kind: String? = null, val title: String? = null)
}

private fun Post.toFfi() = FfiPost(
    title = title,
    text = text,
    author = author,
    published = published?.toEpochMilliseconds(),
    links = links.map { FfiEntryLink(it.rel, it.href, it.kind, it.title) },
)

private fun FfiFeedEntry.toFace() = FeedEntry(
    id = id,
    at = at.toInstant(),
    atomId = atomId,
    title = title,
    text = text,
    author = author,
    authorUri = authorUri,
    published = published?.toInstant(),
    updated = updated?.toInstant(),
    links = links.map { FeedEntry.Link(it.rel, it.href, it.kind, it.title) },
)
