package im.whimbrel

import im.whimbrel.ffi.ClientAccess as FfiClientAccess
import im.whimbrel.ffi.DiskUse as FfiDiskUse
import im.whimbrel.ffi.Imported as FfiImported
import im.whimbrel.ffi.Invitation as FfiInvitation
import im.whimbrel.ffi.Permission as FfiPermission
import im.whimbrel.ffi.ServerInfo as FfiServerInfo
import kotlin.time.Instant

/**
 * What a server says of itself.
 *
 * @property at when it said so
 * @property name what it calls itself
 * @property software by which software it runs (XEP-0092)
 * @property version of which version
 * @property contacts whom to turn to (XEP-0157)
 * @property outages where it is told, by https, whether the service is out (XEP-0455): files in JSON that are of use while the server
 *   cannot be reached. Fetching one tells who keeps it that its user asks, so that is for the app to do
 */
public data class ServerInfo(
    val at: Instant,
    val name: String?,
    val software: String?,
    val version: String?,
    val contacts: List<ContactAddress>,
    val outages: List<String>,
) {
    /**
     * Whom to turn to.
     *
     * @property kind for what: `abuse`, `admin`, `feedback`, `sales`, `security`, `status`, `support`
     * @property uri `mailto:`, `xmpp:` or `https:`; nobody has looked at it
     */
    public data class ContactAddress(val kind: String, val uri: String)
}

/**
 * Who has access to the account (XEP-0494).
 *
 * @property id for [Account.revokeClient]
 * @property connected online, or soon back
 * @property hasSession it has logged in; otherwise it was only allowed to
 * @property firstSeen when it was first there
 * @property lastSeen when it was last there
 * @property software its software, as it says
 * @property uri the software's home page
 * @property device what its user calls the device
 * @property byPassword it knows the password: only another password keeps it out
 * @property byToken it has a token (XEP-0484)
 * @property byGrant it was granted access otherwise
 * @property permission what it may do
 */
public data class ClientAccess(
    val id: String,
    val connected: Boolean,
    val hasSession: Boolean,
    val firstSeen: Instant?,
    val lastSeen: Instant?,
    val software: String?,
    val uri: String?,
    val device: String?,
    val byPassword: Boolean,
    val byToken: Boolean,
    val byGrant: Boolean,
    val permission: Permission,
) {
    /** What somebody who has access may do. */
    public enum class Permission {
        /** Everything. */
        UNRESTRICTED,

        /** All but what others' access depends on. */
        NORMAL,

        /** Less. */
        RESTRICTED,
    }
}

/**
 * A link to be given to somebody: whoever has it first is let in.
 *
 * @property uri an `xmpp:` link: see [XmppLink]
 * @property landingPage the same for people without an app, by https
 * @property expires until when it counts; `null`: nobody says
 * @property registers one may register on our server with it
 */
public data class Invitation(val uri: String, val landingPage: String?, val expires: Instant?, val registers: Boolean)

/**
 * What an account takes on the disk, in bytes.
 *
 * @property total all of its files: its database with the journals, and what [Client.startOver] has set aside
 * @property setAside of these, what was set aside
 * @property index of the database, the index of words
 * @property pictures of the database, pictures of people. They are bounded, and can be had again
 */
public data class DiskUse(val total: Long, val setAside: Long, val index: Long, val pictures: Long)

/**
 * What came of a file, in messages.
 *
 * @property added they are new here
 * @property known they were here, or are nobody's
 * @property skipped elements that are not understood here
 */
public data class Imported(val added: Long, val known: Long, val skipped: Long)

internal fun FfiServerInfo.toFace() =
    ServerInfo(at.toInstant(), name, software, version, contacts.map { ServerInfo.ContactAddress(it.kind, it.uri) }, outages)

internal fun FfiClientAccess.toFace() = ClientAccess(
    id = id,
    connected = connected,
    hasSession = hasSession,
    firstSeen = firstSeen?.toInstant(),
    lastSeen = lastSeen?.toInstant(),
    software = software,
    uri = uri,
    device = device,
    byPassword = byPassword,
    byToken = byToken,
    byGrant = byGrant,
    permission = when (permission) {
        FfiPermission.UNRESTRICTED -> ClientAccess.Permission.UNRESTRICTED
        FfiPermission.NORMAL -> ClientAccess.Permission.NORMAL
        FfiPermission.RESTRICTED -> ClientAccess.Permission.RESTRICTED
    },
)

internal fun FfiInvitation.toFace() = Invitation(uri, landingPage, expires?.toInstant(), registers)

internal fun FfiDiskUse.toFace() = DiskUse(total.toLong(), setAside.toLong(), index.toLong(), pictures.toLong())

internal fun FfiImported.toFace() = Imported(added.toLong(), known.toLong(), skipped.toLong())
