package im.whimbrel

/**
 * Why something did not happen. Each case is one decision of a user interface.
 *
 * Every call of this library fails with one of these and with nothing else, but for a cancellation. Two of them are equal if they
 * say the same.
 */
public sealed class WhimbrelException(message: String) : Exception(message) {
    /** There is no connection; the account goes on trying. */
    public class Offline : WhimbrelException("offline")

    /** No answer within the time given. */
    public class TimedOut : WhimbrelException("timed out")

    /** The server does not accept this password: ask for it. */
    public class WrongPassword : WhimbrelException("wrong password")

    /**
     * The server said no.
     *
     * @property condition the defined condition of RFC 6120 §4.9.3, §6.5 or §8.3.3
     * @property text the server's own words
     */
    public class ServerRefused(public val condition: String, public val text: String?) :
        WhimbrelException("refused by the server: $condition" + text?.let { " ($it)" }.orEmpty())

    /**
     * The connection is not safe: wrong certificate, no TLS, or weaker than it was.
     *
     * @property what what is wrong, for a person
     */
    public class Untrusted(public val what: String) : WhimbrelException("not trusted: $what")

    /** No such host, account, contact or message. */
    public class NotFound : WhimbrelException("not found")

    /**
     * The caller's own mistake.
     *
     * @property what which
     */
    public class InvalidInput(public val what: String) : WhimbrelException("invalid input: $what")

    /** The disk is full. Goes on by itself once there is room. */
    public class StorageFull : WhimbrelException("the storage is full")

    /**
     * The file cannot be used. It is never deleted: see [Client.startOver].
     *
     * @property why why not
     */
    public class DatabaseUnusable(public val why: Unusable) : WhimbrelException("the database cannot be used: $why")

    /** The file is there and its key is not: see [Client.startOver]. */
    public class KeyLost : WhimbrelException("the key of the database is lost")

    /** The device is locked and the key cannot be had yet. */
    public class Locked : WhimbrelException("the device is locked")

    /** The account or the client was closed. */
    public class Closed : WhimbrelException("closed")

    /** Suspended: call [Client.resume] first. */
    public class Suspended : WhimbrelException("suspended")

    /** Another process has this account: the app, or an extension of it. Leave it to that one, or take it with [Client.resume]. */
    public class InUse : WhimbrelException("in use by another process")

    /**
     * A mistake of ours, or an exception of the app's own [KeyVault]. The account goes on; please report ours.
     *
     * @property report what happened, without content
     */
    public class Bug(public val report: String) : WhimbrelException("a bug: $report")

    final override fun equals(other: Any?): Boolean =
        other is WhimbrelException && javaClass == other.javaClass && message == other.message

    final override fun hashCode(): Int = message.hashCode()
}

/** Why a database file cannot be used. */
public enum class Unusable {
    /** Written by a newer version of this library. */
    NEWER,

    /** The key does not fit, or it is not a database at all. */
    WRONG_KEY,

    /** Damaged. */
    CORRUPT,

    /** No permission to write. */
    READ_ONLY,
}
