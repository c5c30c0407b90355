package im.whimbrel

import im.whimbrel.ffi.Affiliation as FfiAffiliation
import im.whimbrel.ffi.Node as FfiNode
import im.whimbrel.ffi.NodeItem as FfiNodeItem
import im.whimbrel.ffi.NodeSubscription as FfiNodeSubscription
import im.whimbrel.ffi.SubscriptionState as FfiSubscriptionState

/**
 * A node (XEP-0060): a place under a name where items are published, of our own account, of somebody else's, or of a service. Whatever
 * is asked of it needs a connection and waits for its answer: it fails with [WhimbrelException.Offline],
 * [WhimbrelException.TimedOut] or [WhimbrelException.ServerRefused].
 */
public class Node internal constructor(
    /** Its name. */
    public val name: String,
    /** The address of whose it is. */
    public val of: String,
    private val node: FfiNode,
) {
    /**
     * Publishes an element under this id, in place of what has it; without one the service makes it. Returns the id.
     *
     * With [options] the node is as they say, or nothing is published: it is made so or changed once. Fails also with
     * [WhimbrelException.InvalidInput] where the payload is not one well-formed element, or larger than the server takes.
     */
    public suspend fun publish(payload: String, id: String? = null, options: NodeOptions = NodeOptions()): String =
        call { node.publish(payload, id, options.values) }

    /**
     * Up to [limit] items. A service without pages gives all that it has, or the newest.
     *
     * @param after behind these: a page's [NodePage.next]
     */
    public suspend fun items(limit: Int = 50, after: String? = null): NodePage =
        call { node.items(limit.toCount(), after) }.run { NodePage(items.map { it.toFace() }, next) }

    /** The item of this id, or `null`. */
    public suspend fun item(id: String): NodeItem? = call { node.item(id) }?.toFace()

    /** Takes an item back. */
    public suspend fun retract(id: String): Unit = call { node.retract(id) }

    /** Takes all items back. */
    public suspend fun purge(): Unit = call { node.purge() }

    /** Makes it. */
    public suspend fun create(options: NodeOptions = NodeOptions()): Unit = call { node.create(options.values) }

    /** Deletes it, with its items. */
    public suspend fun delete(): Unit = call { node.delete() }

    /** Changes how it is; what is not named stays. */
    public suspend fun configure(options: NodeOptions): Unit = call { node.configure(options.values) }

    /** How it is. */
    public suspend fun configuration(): NodeOptions = NodeOptions(call { node.configuration() })

    /**
     * Tells of it from now on, as [Event.Published] and [Event.Retracted] (XEP-0060 §6.1). For nodes of contacts: [Account.follow].
     *
     * Returns how far that is: pending where its owner has to approve it first, and what comes of that is told by
     * [Event.SubscriptionChanged]; unconfigured where it waits for [configureSubscription].
     */
    public suspend fun subscribe(): NodeSubscription.State = call { node.subscribe() }.toFace()

    /** Tells no longer; it is done as well where that has ended already. */
    public suspend fun unsubscribe(): Unit = call { node.unsubscribe() }

    /** How our subscription to it is set, as a form (XEP-0060 §6.3). */
    public suspend fun subscriptionOptions(): Form = call { node.subscriptionOptions() }.toFace()

    /**
     * Sets our subscription to it. Fails also with [WhimbrelException.InvalidInput] where a field that is required says nothing, or
     * [form] is larger than the server takes.
     *
     * @param form that of [subscriptionOptions], filled in
     */
    public suspend fun configureSubscription(form: Form): Unit = call { node.configureSubscription(form.toFfi()) }

    /**
     * Who has subscribed to it, or wants to (XEP-0060 §8.8.1); asked by its owner. Some services leave out who waits to be approved.
     */
    public suspend fun subscribers(): List<NodeSubscription> = call { node.subscribers() }.map { it.toFace() }

    /** Approves or ends somebody's subscription to it, or subscribes them (XEP-0060 §8.8.2); asked by its owner. */
    public suspend fun setSubscriber(address: String, state: NodeSubscription.State): Unit =
        call { node.setSubscriber(address, state.toFfi()) }

    /** Who may do what with it, by address; asked by its owner. */
    public suspend fun affiliations(): Map<String, Affiliation> =
        call { node.affiliations() }.associate { it.jid to it.affiliation.toFace() }

    /** Lets somebody do this with it. */
    public suspend fun affiliate(address: String, affiliation: Affiliation): Unit =
        call { node.affiliate(address, affiliation.toFfi()) }
}

/**
 * How a node is or is to be (XEP-0060 §16.4.4).
 *
 * @property values by their names, without `pubsub#`
 */
public data class NodeOptions(val values: Map<String, String> = emptyMap()) {
    /** Likewise, but for this. */
    public fun with(name: String, value: String): NodeOptions = NodeOptions(values + (name to value))

    public companion object {
        /** For one's own devices only, and kept (XEP-0223). */
        public val private: NodeOptions get() = NodeOptions(answered { im.whimbrel.ffi.privateNode() })

        /** For everybody, and kept (XEP-0222). */
        public val public: NodeOptions get() = NodeOptions(answered { im.whimbrel.ffi.publicNode() })
    }
}

/**
 * An item of a node.
 *
 * @property id unique within the node
 * @property payload an element with its namespace, where the node's notifications have it
 */
public data class NodeItem(val id: String, val payload: String?)

/**
 * Some items of a node.
 *
 * @property items in the node's own order
 * @property next behind what to ask for others, where the service tells that there are any
 */
public data class NodePage(val items: List<NodeItem>, val next: String?)

/**
 * Somebody's subscription to a node.
 *
 * @property node the node's name
 * @property address of whose it is: an account, or one of its devices
 * @property state how far it is
 */
public data class NodeSubscription(val node: String, val address: String, val state: State) {
    /** How far a subscription to a node is (XEP-0060 §4.2). */
    public enum class State {
        /** There is none. */
        NONE,

        /** The node's owner has to approve it first. */
        PENDING,

        /** Its options have to be set first (XEP-0060 §6.3): [Node.configureSubscription]. */
        UNCONFIGURED,

        /** What happens to the node is told. */
        SUBSCRIBED,
    }
}

/** What somebody may do with a node (XEP-0060 §4.1). */
public enum class Affiliation {
    /** Everything. */
    OWNER,

    /** Publish and read. */
    PUBLISHER,

    /** Publish and not read. */
    PUBLISH_ONLY,

    /** Read where not everybody may. */
    MEMBER,

    /** Nothing special. */
    NONE,

    /** Nothing. */
    OUTCAST,
}

internal fun FfiNodeItem.toFace() = NodeItem(id, payload)

internal fun FfiNodeSubscription.toFace() = NodeSubscription(node, jid, state.toFace())

internal fun FfiSubscriptionState.toFace() = when (this) {
    FfiSubscriptionState.NONE -> NodeSubscription.State.NONE
    FfiSubscriptionState.PENDING -> NodeSubscription.State.PENDING
    FfiSubscriptionState.UNCONFIGURED -> NodeSubscription.State.UNCONFIGURED
    FfiSubscriptionState.SUBSCRIBED -> NodeSubscription.State.SUBSCRIBED
}

private fun NodeSubscription.State.toFfi() = when (this) {
    NodeSubscription.State.NONE -> FfiSubscriptionState.NONE
    NodeSubscription.State.PENDING -> FfiSubscriptionState.PENDING
    NodeSubscription.State.UNCONFIGURED -> FfiSubscriptionState.UNCONFIGURED
    NodeSubscription.State.SUBSCRIBED -> FfiSubscriptionState.SUBSCRIBED
}

internal fun FfiAffiliation.toFace() = when (this) {
    FfiAffiliation.OWNER -> Affiliation.OWNER
    FfiAffiliation.PUBLISHER -> Affiliation.PUBLISHER
    FfiAffiliation.PUBLISH_ONLY -> Affiliation.PUBLISH_ONLY
    FfiAffiliation.MEMBER -> Affiliation.MEMBER
    FfiAffiliation.NONE -> Affiliation.NONE
    FfiAffiliation.OUTCAST -> Affiliation.OUTCAST
}

private fun Affiliation.toFfi() = when (this) {
    Affiliation.OWNER -> FfiAffiliation.OWNER
    Affiliation.PUBLISHER -> FfiAffiliation.PUBLISHER
    Affiliation.PUBLISH_ONLY -> FfiAffiliation.PUBLISH_ONLY
    Affiliation.MEMBER -> FfiAffiliation.MEMBER
    Affiliation.NONE -> FfiAffiliation.NONE
    Affiliation.OUTCAST -> FfiAffiliation.OUTCAST
}
