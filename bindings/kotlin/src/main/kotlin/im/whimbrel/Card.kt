package im.whimbrel

import im.whimbrel.ffi.Audience as FfiAudience
import im.whimbrel.ffi.Card as FfiCard
import im.whimbrel.ffi.CardLine as FfiCardLine
import im.whimbrel.ffi.KnownCard as FfiKnownCard
import im.whimbrel.ffi.Organisation as FfiOrganisation
import im.whimbrel.ffi.PersonName as FfiPersonName
import im.whimbrel.ffi.PostalAddress as FfiPostalAddress
import kotlin.time.Instant

/**
 * What somebody says of themselves at length (XEP-0292).
 *
 * @property fullName the whole name, as it is shown
 * @property name its parts
 * @property nicknames what they are called besides
 * @property birthday as it is written: of a date of RFC 6350 §4.3.1, parts may be missing (`--08-06`)
 * @property organisations where they belong to
 * @property titles what they are there
 * @property roles what they do there
 * @property emails e-mail addresses
 * @property telephones telephone numbers, without `tel:`
 * @property addresses postal addresses
 * @property urls web sites. Nobody has looked what they are
 * @property note whatever else they say
 */
public data class Card(
    val fullName: String? = null,
    val name: Name = Name(),
    val nicknames: List<String> = emptyList(),
    val birthday: String? = null,
    val organisations: List<Organisation> = emptyList(),
    val titles: List<String> = emptyList(),
    val roles: List<String> = emptyList(),
    val emails: List<Line> = emptyList(),
    val telephones: List<Line> = emptyList(),
    val addresses: List<PostalAddress> = emptyList(),
    val urls: List<Line> = emptyList(),
    val note: String? = null,
) {
    /**
     * The parts of a name.
     *
     * @property family family name
     * @property given given name
     * @property additional others between these
     * @property prefix before all: `Dr.`
     * @property suffix behind all: `Jr.`
     */
    public data class Name(
        val family: String? = null,
        val given: String? = null,
        val additional: String? = null,
        val prefix: String? = null,
        val suffix: String? = null,
    )

    /**
     * An organisation.
     *
     * @property name its name
     * @property units which part of it, the larger ones first
     */
    public data class Organisation(val name: String, val units: List<String> = emptyList())

    /**
     * One of several ways to reach somebody.
     *
     * @property value the address, number or URL
     * @property kinds what it is: `home`, `work`, `cell`, `fax` and the like (RFC 6350 §5.6), in small letters
     * @property preferred better than the others
     */
    public data class Line(val value: String, val kinds: List<String> = emptyList(), val preferred: Boolean = false)

    /**
     * A postal address.
     *
     * @property kinds as in a [Line]
     * @property preferred as in a [Line]
     * @property postBox post office box
     * @property extended flat, floor, suite
     * @property street street and number
     * @property locality town
     * @property region state, province
     * @property postcode postal code
     * @property country country
     */
    public data class PostalAddress(
        val kinds: List<String> = emptyList(),
        val preferred: Boolean = false,
        val postBox: String? = null,
        val extended: String? = null,
        val street: String? = null,
        val locality: String? = null,
        val region: String? = null,
        val postcode: String? = null,
        val country: String? = null,
    )
}

/**
 * A card as it was.
 *
 * @property card the card
 * @property readAt when it was read, or set
 */
public data class KnownCard(val card: Card, val readAt: Instant)

/** Who may read what we say of ourselves. */
public enum class Audience {
    /** Whoever sees our presence. */
    CONTACTS,

    /** Everybody who knows our address. */
    EVERYBODY,
}

internal fun FfiKnownCard.toFace() = KnownCard(card.toFace(), readAt.toInstant())

internal fun FfiCard.toFace() = Card(
    fullName = fullName,
    name = with(name) { Card.Name(family, given, additional, prefix, suffix) },
    nicknames = nicknames,
    birthday = birthday,
    organisations = organisations.map { Card.Organisation(it.name, it.units) },
    titles = titles,
    roles = roles,
    emails = emails.map { it.toFace() },
    telephones = telephones.map { it.toFace() },
    addresses = addresses.map {
        with(it) { Card.PostalAddress(kinds, preferred, postBox, extended, street, locality, region, postcode, country) }
    },
    urls = urls.map { it.toFace() },
    note = note,
)

internal fun Card.toFfi() = FfiCard(
    fullName = fullName,
    name = with(name) { FfiPersonName(family, given, additional, prefix, suffix) },
    nicknames = nicknames,
    birthday = birthday,
    organisations = organisations.map { FfiOrganisation(it.name, it.units) },
    titles = titles,
    roles = roles,
    emails = emails.map { it.toFfi() },
    telephones = telephones.map { it.toFfi() },
    addresses = addresses.map {
        with(it) { FfiPostalAddress(kinds, preferred, postBox, extended, street, locality, region, postcode, country) }
    },
    urls = urls.map { it.toFfi() },
    note = note,
)

private fun FfiCardLine.toFace() = Card.Line(value, kinds, preferred)

private fun Card.Line.toFfi() = FfiCardLine(value, kinds, preferred)

internal fun Audience.toFfi() = when (this) {
    Audience.CONTACTS -> FfiAudience.CONTACTS
    Audience.EVERYBODY -> FfiAudience.EVERYBODY
}
