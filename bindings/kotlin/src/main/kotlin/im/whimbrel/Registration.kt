package im.whimbrel

import im.whimbrel.ffi.Registration as FfiRegistration
import im.whimbrel.ffi.RegistrationForm as FfiRegistrationForm

/**
 * A server that was asked for an account and wants to know something (XEP-0077): see [Client.register]. It holds a connection, which
 * ends when it is closed, or let go of and freed with the garbage; nothing is left of it.
 */
public class Registration internal constructor(private val registration: FfiRegistration) : AutoCloseable {
    @Volatile
    private var isClosed = false

    /** What the server wants to know. */
    public val form: RegistrationForm = answered { registration.form() }.toFace()

    /**
     * Answers, by the names of the fields, and signs in with the account that the server makes of it. Where it refuses, another answer
     * can be given on the same form.
     *
     * Fails with [WhimbrelException.InvalidInput] where something is missing, or the invitation is for another name; with
     * [WhimbrelException.ServerRefused] as the server says: `conflict` where the name is taken, `not-acceptable` for a wrong answer or
     * a weak password; with [WhimbrelException.Offline] or [WhimbrelException.TimedOut] where the connection has ended: the server may
     * have made the account all the same, and signing in tells; with [WhimbrelException.Closed] after [close]. When it is cancelled it
     * goes on to its end.
     */
    public suspend fun submit(answers: Map<String, String>): Account {
        if (isClosed) throw WhimbrelException.Closed()
        return Account(call { registration.submit(answers) })
    }

    /** Ends the connection. An account that was made stays. */
    override fun close() {
        isClosed = true
        registration.close()
    }
}

/**
 * What a server wants to know of who wants an account (XEP-0077).
 *
 * @property instructions what the server says to it, for a person
 * @property fields in its order
 * @property url where else one may register (XEP-0066): nowhere here, if there are no fields
 */
public data class RegistrationForm(val instructions: String?, val fields: List<Field>, val url: String?) {
    /**
     * One question.
     *
     * @property name how it is named in the answer: `username` and `password` are always called so
     * @property label what to call it before a person
     * @property kind how to ask (XEP-0004 §3.3): `text-single`, `text-private`, `boolean`, `list-single`, `hidden`, `fixed`, and so on
     * @property required there is no account without an answer
     * @property value what it is, if nobody says otherwise
     * @property choices what it can be
     * @property media what it is about (XEP-0221), such as a picture of letters (XEP-0158)
     */
    public data class Field(
        val name: String,
        val label: String?,
        val kind: String,
        val required: Boolean,
        val value: String?,
        val choices: List<Choice>,
        val media: List<Media>,
    )

    /**
     * One of the answers that a question takes.
     *
     * @property label what to call it before a person
     * @property value the answer
     */
    public data class Choice(val label: String?, val value: String)

    /**
     * Something to look at or to listen to.
     *
     * @property kind its media type, as the server says
     * @property bytes itself; empty where it is not here
     * @property uri where it lies
     */
    public class Media(public val kind: String, public val bytes: ByteArray, public val uri: String) {
        override fun equals(other: Any?): Boolean =
            other is Media && kind == other.kind && uri == other.uri && bytes.contentEquals(other.bytes)

        override fun hashCode(): Int = 31 * (31 * kind.hashCode() + uri.hashCode()) + bytes.contentHashCode()

        override fun toString(): String = "Media($kind, ${bytes.size} bytes, $uri)"
    }
}

private fun FfiRegistrationForm.toFace() = RegistrationForm(
    instructions = instructions,
    fields = fields.map { field ->
        RegistrationForm.Field(
            name = field.name,
            label = field.label,
            kind = field.kind,
            required = field.required,
            value = field.value,
            choices = field.choices.map { RegistrationForm.Choice(it.label, it.value) },
            media = field.media.map { RegistrationForm.Media(it.kind, it.bytes, it.uri) },
        )
    },
    url = url,
)
