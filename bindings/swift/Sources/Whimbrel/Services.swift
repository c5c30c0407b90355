import Foundation
internal import WhimbrelFFI

// Services: what they are and have, and what they do on command.

extension Account {
    /// What an address, or a node of it, is and can do (XEP-0030 §3).
    ///
    /// Throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut``, ``WhimbrelError/serverRefused(condition:text:)``.
    public func info(of address: String, node: String? = nil) async throws -> Info {
        try await waiting { [account] in Info(try await account.info(of: address, node: node)) }
    }

    /// What belongs to an address, or to a node of it (XEP-0030 §4): a page of it. Throws as ``info(of:node:)``.
    ///
    /// - Parameter after: Where the page before this one ended: its ``Entities/next``.
    public func items(of address: String, node: String? = nil, after: String? = nil) async throws -> Entities {
        try await waiting { [account] in
            Entities(try await account.itemsOf(of: address, node: node, after: after))
        }
    }

    /// What a service does for us on command (XEP-0050 §2.3): each has the node that ``execute(_:of:)`` takes. Throws as
    /// ``info(of:node:)``.
    public func commands(of address: String) async throws -> [Entity] {
        try await waiting { [account] in try await account.commandsOf(of: address).map(Entity.init) }
    }

    /// Has a service execute a command, which may ask for more before it is done. Throws as ``info(of:node:)``.
    public func execute(_ node: String, of address: String) async throws -> AdHoc {
        try await waiting { [account] in AdHoc(try await account.execute(of: address, node: node)) }
    }
}

/// What an address is and can do (XEP-0030 §3).
public struct Info: Sendable, Equatable {
    /// What it is.
    public let identities: [Identity]
    /// What it can do: namespaces, most often.
    public let features: [String]
    /// What else it says of itself (XEP-0128).
    public let forms: [Form]

    /// What something is (XEP-0030 §3.1).
    public struct Identity: Sendable, Equatable {
        /// `server`, `conference`, `client`, …
        public let category: String
        /// Which of these: `im`, `text`, `phone`, …
        public let kind: String
        /// What it is called, for a person.
        public let name: String?
    }

    init(_ info: WhimbrelFFI.Info) {
        identities = info.identities.map { Identity(category: $0.category, kind: $0.kind, name: $0.name) }
        features = info.features
        forms = info.forms.map(Form.init)
    }
}

/// Something that belongs to an address (XEP-0030 §4).
public struct Entity: Sendable, Equatable {
    /// Its own address.
    public let address: String
    /// Which part of that it is.
    public let node: String?
    /// What it is called, for a person.
    public let name: String?

    init(_ entity: WhimbrelFFI.Entity) {
        address = entity.jid
        node = entity.node
        name = entity.name
    }
}

/// Some of what belongs to an address.
public struct Entities: Sendable, Equatable {
    /// They, in the order of whoever answers.
    public let entities: [Entity]
    /// Where the next page begins, if there may be one.
    public let next: String?

    init(_ page: WhimbrelFFI.Entities) {
        entities = page.entities.map(Entity.init)
        next = page.next
    }
}

/// A command that a service executes for us (XEP-0050).
///
/// Each step needs a connection and waits for its answer. It throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut``,
/// ``WhimbrelError/serverRefused(condition:text:)``, and ``WhimbrelError/invalidInput(what:)`` where the command is over, this stage does
/// not offer that, or a field of the form that is required says nothing. One that is let go of is not cancelled: the service
/// forgets it after a while.
public final class AdHoc: Sendable {
    private let command: WhimbrelFFI.AdHoc

    init(_ command: WhimbrelFFI.AdHoc) {
        self.command = command
    }

    /// How far it has come: what it says, wants to know, and lets us do.
    public var stage: CommandStage {
        get async throws { try await waiting { [command] in CommandStage(try await command.stage()) } }
    }

    /// Goes on with this, in the way that the service means where there are several.
    @discardableResult
    public func execute(_ form: Form? = nil) async throws -> CommandStage {
        try await waiting { [command] in CommandStage(try await command.execute(form: form?.generated)) }
    }

    /// Goes on to the next stage with this.
    @discardableResult
    public func next(_ form: Form? = nil) async throws -> CommandStage {
        try await waiting { [command] in CommandStage(try await command.next(form: form?.generated)) }
    }

    /// Goes back to the stage before.
    @discardableResult
    public func prev() async throws -> CommandStage {
        try await waiting { [command] in CommandStage(try await command.prev()) }
    }

    /// Finishes it with this.
    @discardableResult
    public func complete(_ form: Form? = nil) async throws -> CommandStage {
        try await waiting { [command] in CommandStage(try await command.complete(form: form?.generated)) }
    }

    /// Gives it up.
    @discardableResult
    public func cancel() async throws -> CommandStage {
        try await waiting { [command] in CommandStage(try await command.cancel()) }
    }
}

/// How far a command has come.
public struct CommandStage: Sendable, Equatable {
    /// Whether it goes on.
    public let status: Status
    /// What may be done now; while it is executing, to cancel it, too.
    public let actions: [Action]
    /// What is meant where nothing else is said: one of the actions.
    public let usual: Action?
    /// What it wants to know, or has found.
    public let form: Form?
    /// What it says, for a person.
    public let notes: [Note]

    /// Whether a command goes on (XEP-0050 §3.3).
    public enum Status: Sendable, Equatable {
        /// It waits for what follows.
        case executing
        /// It is done.
        case completed
        /// It was cancelled, by either side.
        case canceled
    }

    /// What one may do with a command (XEP-0050 §3.4).
    public enum Action: Sendable, Equatable {
        /// Begin it, or go on in whatever way is usual.
        case execute
        /// The next stage.
        case next
        /// Back to the stage before.
        case prev
        /// Finish it.
        case complete
        /// Give it up.
        case cancel

        init(_ action: WhimbrelFFI.CommandAction) {
            self =
                switch action {
                case .execute: .execute
                case .next: .next
                case .prev: .prev
                case .complete: .complete
                case .cancel: .cancel
                }
        }
    }

    /// What a command says (XEP-0050 §3.4).
    public struct Note: Sendable, Equatable {
        /// How much it matters.
        public let kind: Kind
        /// For a person.
        public let text: String

        /// How much a note matters.
        public enum Kind: Sendable, Equatable {
            /// To be known.
            case info
            /// It went on, and something is odd.
            case warn
            /// It did not work.
            case error
        }

        init(_ note: WhimbrelFFI.CommandNote) {
            kind =
                switch note.kind {
                case .info: .info
                case .warn: .warn
                case .error: .error
                }
            text = note.text
        }
    }

    init(_ stage: WhimbrelFFI.CommandStage) {
        status =
            switch stage.status {
            case .executing: .executing
            case .completed: .completed
            case .canceled: .canceled
            }
        actions = stage.actions.map(Action.init)
        usual = stage.usual.map(Action.init)
        form = stage.form.map(Form.init)
        notes = stage.notes.map(Note.init)
    }
}
