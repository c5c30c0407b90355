import Foundation
internal import WhimbrelFFI

extension Account {
    /// A node of this address, which is an account's or a publish-subscribe service's; nothing: our own (XEP-0163). It need not be
    /// there yet.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` for what is no address.
    public func node(_ name: String, of address: String? = nil) throws -> Node {
        try immediately { Node(try account.node(name: name, of: address), name: name, of: address ?? self.address) }
    }

    /// Our subscriptions to nodes of a publish-subscribe service or of an account (XEP-0060 §5.6): to all of them, or to one. A device
    /// may have one of its own.
    ///
    /// Throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut``, ``WhimbrelError/serverRefused(condition:text:)``.
    public func subscriptions(at service: String, node: String? = nil) async throws -> [NodeSubscription] {
        try await waiting { [account] in
            try await account.subscriptionsAt(service: service, node: node).map(NodeSubscription.init)
        }
    }

    /// What we may do with nodes of a publish-subscribe service or of an account (XEP-0060 §5.7), by their names: with all of them, or
    /// with one. Where it is nothing special most services leave it out. Throws as ``subscriptions(at:node:)``.
    public func affiliations(at service: String, node: String? = nil) async throws -> [String: Affiliation] {
        try await waiting { [account] in
            try await account.affiliationsAt(service: service, node: node).mapValues(Affiliation.init)
        }
    }

    /// From now on tells what contacts and our other devices publish to their nodes of this name (XEP-0163 §4.3), as
    /// ``Event/published(of:node:items:)`` and ``Event/retracted(of:node:ids:)``; or no longer. Returns when it is durable.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` for a name of no or more than 1024 bytes, or the hundred-and-first.
    public func follow(_ node: String, on: Bool = true) async throws {
        try await waiting { [account] in try await account.follow(node: node, on: on) }
    }
}

/// A node (XEP-0060): a place under a name where items are published, of our own account, of somebody else's, or of a publish-subscribe
/// service.
///
/// Whatever is asked of it needs a connection, and waits for its answer: it throws ``WhimbrelError/offline``,
/// ``WhimbrelError/timedOut`` or ``WhimbrelError/serverRefused(condition:text:)``.
public final class Node: Sendable {
    private let node: WhimbrelFFI.Node

    /// Its name.
    public let name: String

    /// The address of whose it is.
    public let of: String

    init(_ node: WhimbrelFFI.Node, name: String, of: String) {
        self.node = node
        self.name = name
        self.of = of
    }

    /// Publishes an element under this id, in place of what has it; without one the service makes it.
    ///
    /// With `options` the node is as they say, or nothing is published: it is made so or changed once.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)``, too, where the payload is not one well-formed element, or larger than the server
    /// takes.
    ///
    /// - Returns: The item's id.
    @discardableResult
    public func publish(
        _ payload: String, id: String? = nil, options: NodeOptions = NodeOptions()
    ) async throws -> String {
        try await waiting { [node] in try await node.publish(payload: payload, id: id, options: options.values) }
    }

    /// Up to `limit` items. A service without pages gives all that it has, or the newest.
    ///
    /// - Parameter after: Where the page before this one ended: its ``NodePage/next``.
    public func items(after: String? = nil, limit: Int = 50) async throws -> NodePage {
        try await waiting { [node] in
            NodePage(try await node.items(limit: UInt32(clamping: limit), after: after))
        }
    }

    /// The item of this id, if there is one.
    public func item(_ id: String) async throws -> NodeItem? {
        try await waiting { [node] in try await node.item(id: id).map(NodeItem.init) }
    }

    /// Takes an item back.
    public func retract(_ id: String) async throws {
        try await waiting { [node] in try await node.retract(id: id) }
    }

    /// Takes all items back.
    public func purge() async throws {
        try await waiting { [node] in try await node.purge() }
    }

    /// Makes it.
    public func create(_ options: NodeOptions = NodeOptions()) async throws {
        try await waiting { [node] in try await node.create(options: options.values) }
    }

    /// Deletes it, with its items.
    public func delete() async throws {
        try await waiting { [node] in try await node.delete() }
    }

    /// Changes how it is; what is not named stays.
    public func configure(_ options: NodeOptions) async throws {
        try await waiting { [node] in try await node.configure(options: options.values) }
    }

    /// How it is.
    public func configuration() async throws -> NodeOptions {
        try await waiting { [node] in NodeOptions(try await node.configuration()) }
    }

    /// Tells of it from now on, as ``Event/published(of:node:items:)`` and ``Event/retracted(of:node:ids:)`` (XEP-0060 §6.1).
    ///
    /// - Returns: How far that is: pending where its owner has to approve it first, and what comes of that is told by
    ///   ``Event/subscriptionChanged(of:node:state:)``; unconfigured where it waits for ``configureSubscription(_:)``.
    @discardableResult
    public func subscribe() async throws -> NodeSubscription.State {
        try await waiting { [node] in NodeSubscription.State(try await node.subscribe()) }
    }

    /// Tells no longer; it is done as well where that has ended already.
    public func unsubscribe() async throws {
        try await waiting { [node] in try await node.unsubscribe() }
    }

    /// How our subscription to it is set, as a form (XEP-0060 §6.3).
    public func subscriptionOptions() async throws -> Form {
        try await waiting { [node] in Form(try await node.subscriptionOptions()) }
    }

    /// Sets our subscription to it: the form is that of ``subscriptionOptions()``, filled in.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)``, too, where a field that is required says nothing, or it is larger than the server
    /// takes.
    public func configureSubscription(_ form: Form) async throws {
        try await waiting { [node] in try await node.configureSubscription(form: form.generated) }
    }

    /// Who has subscribed to it, or wants to (XEP-0060 §8.8.1); asked by its owner. Some services leave out who waits to be approved.
    public func subscribers() async throws -> [NodeSubscription] {
        try await waiting { [node] in try await node.subscribers().map(NodeSubscription.init) }
    }

    /// Approves or ends somebody's subscription to it, or subscribes them (XEP-0060 §8.8.2); asked by its owner.
    public func setSubscriber(_ address: String, _ state: NodeSubscription.State) async throws {
        try await waiting { [node] in try await node.setSubscriber(jid: address, state: state.generated) }
    }

    /// Who may do what with it, by address; asked by its owner.
    public func affiliations() async throws -> [String: Affiliation] {
        try await waiting { [node] in
            let all = try await node.affiliations().map { ($0.jid, Affiliation($0.affiliation)) }
            return Dictionary(all) { _, last in last }
        }
    }

    /// Lets somebody do this with it.
    public func affiliate(_ address: String, _ affiliation: Affiliation) async throws {
        try await waiting { [node] in try await node.affiliate(jid: address, affiliation: affiliation.generated) }
    }
}

/// How a node is: names without `pubsub#`, and values (XEP-0060 §16.4.4).
public struct NodeOptions: Sendable, Equatable {
    /// What is named.
    public var values: [String: String]

    /// As the node's service would have it by itself, but for these.
    public init(_ values: [String: String] = [:]) {
        self.values = values
    }

    /// For one's own devices only, and kept (XEP-0223).
    public static var `private`: NodeOptions {
        get throws { NodeOptions(try immediately(privateNode)) }
    }

    /// For everybody, and kept (XEP-0222).
    public static var `public`: NodeOptions {
        get throws { NodeOptions(try immediately(publicNode)) }
    }
}

/// Some items of a node.
public struct NodePage: Sendable, Equatable {
    /// In the node's own order.
    public let items: [NodeItem]
    /// Behind what to ask for others, where the service tells that there are any.
    public let next: String?

    init(_ page: WhimbrelFFI.NodePage) {
        items = page.items.map(NodeItem.init)
        next = page.next
    }
}

/// An item of a node.
public struct NodeItem: Sendable, Equatable, Identifiable {
    /// Unique within the node.
    public let id: String
    /// An element with its namespace, where the node's notifications have it.
    public let payload: String?

    init(_ item: WhimbrelFFI.NodeItem) {
        id = item.id
        payload = item.payload
    }
}

/// Somebody's subscription to a node.
public struct NodeSubscription: Sendable, Equatable {
    /// The node's name.
    public let node: String
    /// The address of whose it is: an account, or one of its devices.
    public let address: String
    /// How far it is.
    public let state: State

    /// How far a subscription to a node is (XEP-0060 §4.2).
    public enum State: Sendable, Equatable {
        /// There is none; `none` in the specification, which Swift has another meaning for.
        case neither
        /// The node's owner has to approve it first.
        case pending
        /// Its options have to be set first (XEP-0060 §6.3): ``Node/configureSubscription(_:)``.
        case unconfigured
        /// What happens to the node is told.
        case subscribed

        init(_ state: WhimbrelFFI.SubscriptionState) {
            self =
                switch state {
                case .none: .neither
                case .pending: .pending
                case .unconfigured: .unconfigured
                case .subscribed: .subscribed
                }
        }

        var generated: WhimbrelFFI.SubscriptionState {
            switch self {
            case .neither: .none
            case .pending: .pending
            case .unconfigured: .unconfigured
            case .subscribed: .subscribed
            }
        }
    }

    init(_ subscription: WhimbrelFFI.NodeSubscription) {
        node = subscription.node
        address = subscription.jid
        state = State(subscription.state)
    }
}

/// What somebody may do with a node (XEP-0060 §4.1).
public enum Affiliation: Sendable, Equatable {
    /// Everything.
    case owner
    /// Publish and read.
    case publisher
    /// Publish and not read.
    case publishOnly
    /// Read where not everybody may.
    case member
    /// Nothing special; `none` in the specification, which Swift has another meaning for.
    case neither
    /// Nothing.
    case outcast

    init(_ affiliation: WhimbrelFFI.Affiliation) {
        self =
            switch affiliation {
            case .owner: .owner
            case .publisher: .publisher
            case .publishOnly: .publishOnly
            case .member: .member
            case .none: .neither
            case .outcast: .outcast
            }
    }

    var generated: WhimbrelFFI.Affiliation {
        switch self {
        case .owner: .owner
        case .publisher: .publisher
        case .publishOnly: .publishOnly
        case .member: .member
        case .neither: .none
        case .outcast: .outcast
        }
    }
}
