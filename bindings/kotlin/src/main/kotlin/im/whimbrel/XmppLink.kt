package im.whimbrel

import im.whimbrel.ffi.XmppLink as FfiXmppLink
import im.whimbrel.ffi.XmppLinkAction as FfiXmppLinkAction
import im.whimbrel.ffi.XmppLinkParameter as FfiXmppLinkParameter

/**
 * An `xmpp:` link, as pages and QR codes have them (RFC 5122). Reading or writing one does nothing. It may come from anybody: nobody
 * acts on one before a person has said so.
 *
 * @property address whom it is about: an account, one of its devices, a server or a service; `null` only if there is an [account]
 * @property action what to do there; `null`: talk to them
 * @property account as whom of our own accounts to do it, where it says
 */
public data class XmppLink(val address: String?, val action: Action? = null, val account: String? = null) {
    /**
     * As text, in ASCII: for a link, or a QR code of one's own. Fails with [WhimbrelException.InvalidInput] where it names nobody or what
     * is no address, is too long, has characters that no XML has, or would be read as something else.
     */
    public fun written(): String = answered { im.whimbrel.ffi.writeXmppLink(toFfi()) }

    public companion object {
        /** Reads a link, or what a QR code says. Fails with [WhimbrelException.InvalidInput] for what is no `xmpp:` link. */
        public fun parse(uri: String): XmppLink = answered { im.whimbrel.ffi.readXmppLink(uri) }.toFace()
    }

    /** What a link asks for (XEP-0147). Parameters that do not stand here are left out, but for [Other]. */
    public sealed interface Action {
        /**
         * Write a message, with this begun already.
         *
         * @property body its text
         * @property subject its subject
         * @property thread its thread (RFC 6121 §5.2.5)
         */
        public data class Message(val body: String? = null, val subject: String? = null, val thread: String? = null) : Action

        /** Ask to see their presence. */
        public data object Subscribe : Action

        /** No longer see it. */
        public data object Unsubscribe : Action

        /**
         * Add a contact.
         *
         * @property name how to call it
         * @property groups its groups
         * @property token with this they accept us without being asked (XEP-0379): see [Account.addInviter]
         * @property registers with the token one may register with their server, too (XEP-0401)
         */
        public data class Roster(
            val name: String? = null,
            val groups: List<String> = emptyList(),
            val token: String? = null,
            val registers: Boolean = false,
        ) : Action

        /** Remove a contact. */
        public data object Remove : Action

        /**
         * Register with a server, under this name if the address has one: see [Client.register].
         *
         * @property token the invitation (XEP-0445)
         */
        public data class Register(val token: String? = null) : Action

        /**
         * Enter a room (XEP-0045 §17.3.3).
         *
         * @property password its password
         */
        public data class Join(val password: String? = null) : Action

        /**
         * Something else.
         *
         * @property name the query type; the XMPP Registrar keeps a list of them
         * @property parameters its parameters, in their order
         */
        public data class Other(val name: String, val parameters: List<Parameter> = emptyList()) : Action
    }

    /**
     * A parameter of a link.
     *
     * @property name its name
     * @property value what it says; of one without a value nothing
     */
    public data class Parameter(val name: String, val value: String)
}

private fun FfiXmppLink.toFace() = XmppLink(address, action?.toFace(), account)

private fun XmppLink.toFfi(): FfiXmppLink = FfiXmppLink(address, action?.toFfi(), account)

private fun FfiXmppLinkAction.toFace(): XmppLink.Action = when (this) {
    is FfiXmppLinkAction.Message -> XmppLink.Action.Message(body, subject, thread)
    FfiXmppLinkAction.Subscribe -> XmppLink.Action.Subscribe
    FfiXmppLinkAction.Unsubscribe -> XmppLink.Action.Unsubscribe
    is FfiXmppLinkAction.Roster -> XmppLink.Action.Roster(name, groups, token, registers)
    FfiXmppLinkAction.Remove -> XmppLink.Action.Remove
    is FfiXmppLinkAction.Register -> XmppLink.Action.Register(token)
    is FfiXmppLinkAction.Join -> XmppLink.Action.Join(password)
    is FfiXmppLinkAction.Other -> XmppLink.Action.Other(name, parameters.map { XmppLink.Parameter(it.name, it.value) })
}

private fun XmppLink.Action.toFfi(): FfiXmppLinkAction = when (this) {
    is XmppLink.Action.Message -> FfiXmppLinkAction.Message(body, subject, thread)
    XmppLink.Action.Subscribe -> FfiXmppLinkAction.Subscribe
    XmppLink.Action.Unsubscribe -> FfiXmppLinkAction.Unsubscribe
    is XmppLink.Action.Roster -> FfiXmppLinkAction.Roster(name, groups, token, registers)
    XmppLink.Action.Remove -> FfiXmppLinkAction.Remove
    is XmppLink.Action.Register -> FfiXmppLinkAction.Register(token)
    is XmppLink.Action.Join -> FfiXmppLinkAction.Join(password)
    is XmppLink.Action.Other -> FfiXmppLinkAction.Other(name, parameters.map { FfiXmppLinkParameter(it.name, it.value) })
}
