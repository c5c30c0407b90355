package im.whimbrel

import im.whimbrel.ffi.AdHoc as FfiAdHoc
import im.whimbrel.ffi.Answer as FfiAnswer
import im.whimbrel.ffi.Choice as FfiChoice
import im.whimbrel.ffi.ClaimKind as FfiClaimKind
import im.whimbrel.ffi.CommandAction as FfiCommandAction
import im.whimbrel.ffi.CommandNoteKind as FfiCommandNoteKind
import im.whimbrel.ffi.CommandStage as FfiCommandStage
import im.whimbrel.ffi.CommandStatus as FfiCommandStatus
import im.whimbrel.ffi.Entities as FfiEntities
import im.whimbrel.ffi.Entity as FfiEntity
import im.whimbrel.ffi.FieldKind as FfiFieldKind
import im.whimbrel.ffi.Form as FfiForm
import im.whimbrel.ffi.FormField as FfiFormField
import im.whimbrel.ffi.FormKind as FfiFormKind
import im.whimbrel.ffi.Info as FfiInfo
import im.whimbrel.ffi.Payload as FfiPayload
import im.whimbrel.ffi.RequestKind as FfiRequestKind
import kotlin.time.Instant

/**
 * What an address is and can do (XEP-0030 §3).
 *
 * @property identities what it is
 * @property features what it can do: namespaces, most often
 * @property forms what else it says of itself (XEP-0128)
 */
public data class Info(val identities: List<Identity>, val features: List<String>, val forms: List<Form>) {
    /**
     * What something is (XEP-0030 §3.1).
     *
     * @property category `server`, `conference`, `client`, …
     * @property kind which of these: `im`, `text`, `phone`, …
     * @property name what it is called, for a person
     */
    public data class Identity(val category: String, val kind: String, val name: String?)
}

/**
 * Something that belongs to an address (XEP-0030 §4).
 *
 * @property address its own address
 * @property node which part of that it is
 * @property name what it is called, for a person
 */
public data class Entity(val address: String, val node: String?, val name: String?)

/**
 * Some of what belongs to an address.
 *
 * @property entities they, in the order of whoever answers
 * @property next where the next page begins, if there may be one
 */
public data class Entities(val entities: List<Entity>, val next: String?)

/**
 * A form (XEP-0004): to be filled in, filled in, or a result.
 *
 * @property kind what it is for
 * @property title its title
 * @property instructions what to do with it, for a person
 * @property fields its fields, in their order
 * @property columns of a result that is a table: its columns
 * @property rows and its rows: fields, each with the name of its column
 */
public data class Form(
    val kind: Kind,
    val title: String?,
    val instructions: List<String>,
    val fields: List<Field>,
    val columns: List<Field>,
    val rows: List<List<Field>>,
) {
    /** The field of this name, or `null`. */
    public operator fun get(name: String): Field? = fields.find { it.name == name }

    /**
     * The same with these values in these fields, by their names. Fails with [WhimbrelException.InvalidInput] where there is no such
     * field, or it does not take that.
     */
    public fun filled(values: Map<String, List<String>>): Form = answered { im.whimbrel.ffi.fillForm(toFfi(), values) }.toFace()

    /**
     * As it is submitted, as text, for a payload that has one in it. Fails with [WhimbrelException.InvalidInput] where a field is
     * required and says nothing.
     */
    public fun submitted(): String = answered { im.whimbrel.ffi.submitForm(toFfi()) }

    public companion object {
        /** Reads the text of a form's `<x/>`. Fails with [WhimbrelException.InvalidInput]. */
        public fun parse(xml: String): Form = answered { im.whimbrel.ffi.readForm(xml) }.toFace()
    }

    /** What a form is for (XEP-0004 §3.1). */
    public enum class Kind {
        /** To be filled in. */
        FORM,

        /** Filled in. */
        SUBMIT,

        /** Not to be filled in any more. */
        CANCEL,

        /** What a service found or did. */
        RESULT,
    }

    /**
     * A field of a form (XEP-0004 §3.2).
     *
     * @property name its name, unique in the form; only one that is fixed has none
     * @property kind what it takes
     * @property label what to call it, for a person
     * @property description more about it, for a person
     * @property required without it the form is not complete
     * @property options what there is to choose from, for lists
     * @property open what is not among the options may be said, too (XEP-0122 §3.2.2)
     * @property values what it says; before it is filled in, what it would say by itself
     */
    public data class Field(
        val name: String,
        val kind: Kind,
        val label: String?,
        val description: String?,
        val required: Boolean,
        val options: List<Choice>,
        val open: Boolean,
        val values: List<String>,
    ) {
        /** What a field takes (XEP-0004 §3.3). */
        public enum class Kind {
            /** Yes or no: `true`, `false`. */
            BOOLEAN,

            /** Nothing: it is text of the form. */
            FIXED,

            /** Nothing: it goes back as it came, and is not shown. */
            HIDDEN,

            /** Addresses, each once. */
            JID_MULTI,

            /** An address. */
            JID_SINGLE,

            /** Any of the options. */
            LIST_MULTI,

            /** One of the options. */
            LIST_SINGLE,

            /** Lines of text. */
            TEXT_MULTI,

            /** A line of text that is not to be seen, such as a password. */
            TEXT_PRIVATE,

            /** A line of text. */
            TEXT_SINGLE,
        }
    }

    /**
     * What one may choose.
     *
     * @property label what to call it, for a person
     * @property value what it is
     */
    public data class Choice(val label: String?, val value: String)
}

/**
 * A command that a service executes for us (XEP-0050). Each step needs a connection and waits for its answer: it fails with
 * [WhimbrelException.Offline], [WhimbrelException.TimedOut], [WhimbrelException.ServerRefused]; with
 * [WhimbrelException.InvalidInput] where the command is over, this stage does not offer that, or a field of the form that is required
 * says nothing. One that is let go of is not cancelled: the service forgets it after a while.
 */
public class AdHoc internal constructor(private val command: FfiAdHoc) {
    /** How far it has come: what it says, wants to know, and lets us do. */
    public suspend fun stage(): CommandStage = call { command.stage() }.toFace()

    /** Goes on with this, in the way that the service means where there are several. */
    public suspend fun execute(form: Form? = null): CommandStage = call { command.execute(form?.toFfi()) }.toFace()

    /** Goes on to the next stage with this. */
    public suspend fun next(form: Form? = null): CommandStage = call { command.next(form?.toFfi()) }.toFace()

    /** Goes back to the stage before. */
    public suspend fun prev(): CommandStage = call { command.prev() }.toFace()

    /** Finishes it with this. */
    public suspend fun complete(form: Form? = null): CommandStage = call { command.complete(form?.toFfi()) }.toFace()

    /** Gives it up. */
    public suspend fun cancel(): CommandStage = call { command.cancel() }.toFace()
}

/**
 * How far a command has come.
 *
 * @property status whether it goes on
 * @property actions what may be done now; while it is executing, to cancel it, too
 * @property usual what is meant where nothing else is said: one of the actions
 * @property form what it wants to know, or has found
 * @property notes what it says, for a person
 */
public data class CommandStage(
    val status: Status,
    val actions: List<Action>,
    val usual: Action?,
    val form: Form?,
    val notes: List<Note>,
) {
    /** Whether a command goes on (XEP-0050 §3.3). */
    public enum class Status {
        /** It waits for what follows. */
        EXECUTING,

        /** It is done. */
        COMPLETED,

        /** It was cancelled, by either side. */
        CANCELED,
    }

    /** What one may do with a command (XEP-0050 §3.4). */
    public enum class Action {
        /** Begin it, or go on in whatever way is usual. */
        EXECUTE,

        /** The next stage. */
        NEXT,

        /** Back to the stage before. */
        PREV,

        /** Finish it. */
        COMPLETE,

        /** Give it up. */
        CANCEL,
    }

    /**
     * What a command says (XEP-0050 §3.4).
     *
     * @property kind how much it matters
     * @property text for a person
     */
    public data class Note(val kind: Kind, val text: String) {
        /** How much a note matters. */
        public enum class Kind {
            /** To be known. */
            INFO,

            /** It went on, and something is odd. */
            WARN,

            /** It did not work. */
            ERROR,
        }
    }
}

/** How something is asked (RFC 6120 §8.2.3). */
public enum class RequestKind {
    /** To know something. */
    GET,

    /** To have something done. */
    SET,
}

/** Where an app speaks a namespace: see [Account.claim]. */
public enum class ClaimKind {
    /** In questions to us: [Event.Asked]. */
    REQUESTS,

    /** In messages that have no text: [Event.NewPayload]. */
    MESSAGES,
}

/** What we answer to a question that the app was told of. */
public sealed interface Answer {
    /**
     * Something, or nothing.
     *
     * @property xml one well-formed element
     */
    public data class Result(val xml: String? = null) : Answer

    /**
     * That it cannot be.
     *
     * @property condition of RFC 6120 §8.3.3
     */
    public data class Refusal(val condition: String) : Answer
}

/**
 * Something in a message that only the app understands.
 *
 * @property id stable for ever
 * @property with the address of whom it is exchanged with
 * @property from the full address of who sent it
 * @property mine whether we did, here or on another device
 * @property namespace its namespace, which is claimed
 * @property xml the element. Nobody has looked into it
 * @property at when it reached the server or us
 * @property state how far it has come, if it is ours
 */
public data class Payload(
    val id: String,
    val with: String,
    val from: String,
    val mine: Boolean,
    val namespace: String,
    val xml: String,
    val at: Instant,
    val state: SendState?,
)

internal fun FfiInfo.toFace() = Info(
    identities = identities.map { Info.Identity(it.category, it.kind, it.name) },
    features = features,
    forms = forms.map { it.toFace() },
)

internal fun FfiEntity.toFace() = Entity(jid, node, name)

internal fun FfiEntities.toFace() = Entities(entities.map { it.toFace() }, next)

internal fun FfiForm.toFace() = Form(
    kind = when (kind) {
        FfiFormKind.FORM -> Form.Kind.FORM
        FfiFormKind.SUBMIT -> Form.Kind.SUBMIT
        FfiFormKind.CANCEL -> Form.Kind.CANCEL
        FfiFormKind.RESULT -> Form.Kind.RESULT
    },
    title = title,
    instructions = instructions,
    fields = fields.map { it.toFace() },
    columns = columns.map { it.toFace() },
    rows = rows.map { row -> row.map { it.toFace() } },
)

internal fun Form.toFfi(): FfiForm = FfiForm(
    kind = when (kind) {
        Form.Kind.FORM -> FfiFormKind.FORM
        Form.Kind.SUBMIT -> FfiFormKind.SUBMIT
        Form.Kind.CANCEL -> FfiFormKind.CANCEL
        Form.Kind.RESULT -> FfiFormKind.RESULT
    },
    title = title,
    instructions = instructions,
    fields = fields.map { it.toFfi() },
    columns = columns.map { it.toFfi() },
    rows = rows.map { row -> row.map { it.toFfi() } },
)

private fun FfiFormField.toFace() = Form.Field(
    name = name,
    kind = when (kind) {
        FfiFieldKind.BOOLEAN -> Form.Field.Kind.BOOLEAN
        FfiFieldKind.FIXED -> Form.Field.Kind.FIXED
        FfiFieldKind.HIDDEN -> Form.Field.Kind.HIDDEN
        FfiFieldKind.JID_MULTI -> Form.Field.Kind.JID_MULTI
        FfiFieldKind.JID_SINGLE -> Form.Field.Kind.JID_SINGLE
        FfiFieldKind.LIST_MULTI -> Form.Field.Kind.LIST_MULTI
        FfiFieldKind.LIST_SINGLE -> Form.Field.Kind.LIST_SINGLE
        FfiFieldKind.TEXT_MULTI -> Form.Field.Kind.TEXT_MULTI
        FfiFieldKind.TEXT_PRIVATE -> Form.Field.Kind.TEXT_PRIVATE
        FfiFieldKind.TEXT_SINGLE -> Form.Field.Kind.TEXT_SINGLE
    },
    label = label,
    description = description,
    required = required,
    options = options.map { Form.Choice(it.label, it.value) },
    open = open,
    values = values,
)

private fun Form.Field.toFfi() = FfiFormField(
    name = name,
    kind = when (kind) {
        Form.Field.Kind.BOOLEAN -> FfiFieldKind.BOOLEAN
        Form.Field.Kind.FIXED -> FfiFieldKind.FIXED
        Form.Field.Kind.HIDDEN -> FfiFieldKind.HIDDEN
        Form.Field.Kind.JID_MULTI -> FfiFieldKind.JID_MULTI
        Form.Field.Kind.JID_SINGLE -> FfiFieldKind.JID_SINGLE
        Form.Field.Kind.LIST_MULTI -> FfiFieldKind.LIST_MULTI
        Form.Field.Kind.LIST_SINGLE -> FfiFieldKind.LIST_SINGLE
        Form.Field.Kind.TEXT_MULTI -> FfiFieldKind.TEXT_MULTI
        Form.Field.Kind.TEXT_PRIVATE -> FfiFieldKind.TEXT_PRIVATE
        Form.Field.Kind.TEXT_SINGLE -> FfiFieldKind.TEXT_SINGLE
    },
    label = label,
    description = description,
    required = required,
    options = options.map { FfiChoice(it.label, it.value) },
    open = open,
    values = values,
)

private fun FfiCommandStage.toFace() = CommandStage(
    status = when (status) {
        FfiCommandStatus.EXECUTING -> CommandStage.Status.EXECUTING
        FfiCommandStatus.COMPLETED -> CommandStage.Status.COMPLETED
        FfiCommandStatus.CANCELED -> CommandStage.Status.CANCELED
    },
    actions = actions.map { it.toFace() },
    usual = usual?.toFace(),
    form = form?.toFace(),
    notes = notes.map { note ->
        CommandStage.Note(
            when (note.kind) {
                FfiCommandNoteKind.INFO -> CommandStage.Note.Kind.INFO
                FfiCommandNoteKind.WARN -> CommandStage.Note.Kind.WARN
                FfiCommandNoteKind.ERROR -> CommandStage.Note.Kind.ERROR
            },
            note.text,
        )
    },
)

private fun FfiCommandAction.toFace() = when (this) {
    FfiCommandAction.EXECUTE -> CommandStage.Action.EXECUTE
    FfiCommandAction.NEXT -> CommandStage.Action.NEXT
    FfiCommandAction.PREV -> CommandStage.Action.PREV
    FfiCommandAction.COMPLETE -> CommandStage.Action.COMPLETE
    FfiCommandAction.CANCEL -> CommandStage.Action.CANCEL
}

internal fun FfiRequestKind.toFace() = when (this) {
    FfiRequestKind.GET -> RequestKind.GET
    FfiRequestKind.SET -> RequestKind.SET
}

internal fun RequestKind.toFfi() = when (this) {
    RequestKind.GET -> FfiRequestKind.GET
    RequestKind.SET -> FfiRequestKind.SET
}

internal fun ClaimKind.toFfi() = when (this) {
    ClaimKind.REQUESTS -> FfiClaimKind.REQUESTS
    ClaimKind.MESSAGES -> FfiClaimKind.MESSAGES
}

internal fun Answer.toFfi(): FfiAnswer = when (this) {
    is Answer.Result -> FfiAnswer.Result(xml)
    is Answer.Refusal -> FfiAnswer.Refusal(condition)
}

internal fun FfiPayload.toFace() =
    Payload(id, with, from, mine, namespace, xml, at.toInstant(), state?.toFace())
