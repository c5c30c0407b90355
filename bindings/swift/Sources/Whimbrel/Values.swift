import Foundation
internal import WhimbrelFFI

// What an app sees of an account. The values are made by the library, except for `ChatState`, `Push`, and what is decided about a conversation.

/// How an account is doing. Honest enough to draw, quiet enough to ignore.
public enum Status: Sendable, Equatable {
    /// Not connected: why, or nothing where nobody asked for a connection; what happened, for a person, and empty where there is
    /// nothing to say; when the next attempt begins, or nothing where it does not by itself.
    case offline(reason: WhimbrelError?, detail: String, nextAttempt: Date?)
    /// Resolving, connecting, logging in.
    case connecting
    /// Online; what was missed is being fetched: messages so far, and the server's guess of all.
    case catchingUp(done: Int, total: Int?)
    /// Online and complete.
    case online

    init(_ status: WhimbrelFFI.Status) {
        self =
            switch status {
            case .offline(let reason, let detail, let nextAttempt):
                .offline(
                    reason: reason.map(WhimbrelError.init), detail: detail,
                    nextAttempt: nextAttempt.map(Date.init(milliseconds:)))
            case .connecting: .connecting
            case .catchingUp(let done, let total):
                .catchingUp(done: Int(clamping: done), total: total.map { Int(clamping: $0) })
            case .online: .online
            }
    }
}

/// How far a message of ours has come.
public enum SendState: Sendable, Equatable {
    /// On disk here.
    case queued
    /// Taken over by our server.
    case sent
    /// Received by a device of the contact (XEP-0184).
    case delivered
    /// Seen by the contact (XEP-0333).
    case displayed
    /// It will not arrive. The reason is the condition of RFC 6120 §8.3.3.
    case failed(reason: String)

    init(_ state: WhimbrelFFI.SendState) {
        self =
            switch state {
            case .queued: .queued
            case .sent: .sent
            case .delivered: .delivered
            case .displayed: .displayed
            case .failed(let reason): .failed(reason: reason)
            }
    }
}

/// One line of a ``Timeline``.
public enum TimelineItem: Sendable, Equatable, Identifiable {
    /// A message.
    case message(Message)
    /// A hole in what we have.
    case gap(Gap)

    /// Stable for ever.
    public var id: String {
        switch self {
        case .message(let message): message.id
        case .gap(let gap): gap.id
        }
    }

    init(_ item: WhimbrelFFI.Item) {
        self =
            switch item {
            case .message(let message): .message(Message(message))
            case .gap(let gap): .gap(Gap(gap))
            }
    }
}

/// One message, shaped for the view.
public struct Message: Sendable, Equatable, Identifiable {
    /// Stable for ever.
    public let id: String
    /// The address of whom the conversation is with.
    public let with: String
    /// The full address of who wrote it.
    public let from: String
    /// Whether we wrote it, here or on another device.
    public let isMine: Bool
    /// The text; for a placeholder, a description of what could not be shown.
    public let text: String
    /// Which parts of the text are more than plain, by where they begin.
    public let spans: [TextSpan]
    /// It begins with `/me `: to be shown as what its sender does, with the name in place of `/me`.
    public let isAction: Bool
    /// A few emoji and nothing else: to be shown large.
    public let isEmojiOnly: Bool
    /// What could not be built or handled stands as a placeholder.
    public let isPlaceholder: Bool
    /// When it reached the server or us.
    public let at: Date
    /// When its sender says it was written, where that is earlier.
    public let writtenAt: Date?
    /// How far it has come, if it is ours.
    public let state: SendState?
    /// Its text is not the one that was sent first (XEP-0308).
    public let isEdited: Bool
    /// Its sender has taken it back (XEP-0424): there is no text any more.
    public let isRetracted: Bool
    /// What people feel about it (XEP-0444).
    public let reactions: [Reaction]
    /// What it answers (XEP-0461).
    public let reply: ReplyTo?
    /// To be shown only when asked for; the hint may be empty (XEP-0382).
    public let spoiler: String?
    /// The thread that it belongs to (RFC 6121 §5.2.5).
    public let thread: Thread?
    /// Data that lies elsewhere (XEP-0066).
    public let links: [Link]
    /// What its sender says of links in the text (XEP-0511). Nobody has looked whether it is so.
    public let previews: [Preview]
    /// What we did to it and has not left yet, or failed.
    public let change: Change?
    /// The first of its day.
    public let startsDay: Bool
    /// The first of a run by one sender within five minutes.
    public let startsGroup: Bool

    /// One reaction to a message (XEP-0444).
    public struct Reaction: Sendable, Equatable {
        /// An emoji, most often.
        public let text: String
        /// How many feel so.
        public let count: Int
        /// Whether we do.
        public let isMine: Bool
    }

    /// What a message answers (XEP-0461).
    public struct ReplyTo: Sendable, Equatable {
        /// The message, if it is here.
        public let id: String?
        /// What the answer repeats of it, as its sender says.
        public let quote: String?
    }

    /// A thread of a conversation (RFC 6121 §5.2.5).
    public struct Thread: Sendable, Equatable {
        /// Its name.
        public var id: String
        /// The thread of which it is a branch (XEP-0201).
        public var parent: String?

        /// Its name, and of which other thread it is a branch.
        public init(id: String, parent: String? = nil) {
            self.id = id
            self.parent = parent
        }
    }

    /// Data that lies elsewhere (XEP-0066).
    public struct Link: Sendable, Equatable {
        /// Where it lies.
        public var url: String
        /// What it is.
        public var description: String?

        /// Where it lies, and what it is.
        public init(url: String, description: String? = nil) {
            self.url = url
            self.description = description
        }
    }

    /// What its sender says of a link in the text (XEP-0511).
    public struct Preview: Sendable, Equatable {
        /// Which link.
        public var url: String
        /// Its title.
        public var title: String?
        /// What it is about.
        public var description: String?
        /// Which site it is of.
        public var site: String?
        /// Pictures of it.
        public var images: [String]

        /// Which link, and what it leads to.
        public init(
            url: String, title: String? = nil, description: String? = nil, site: String? = nil, images: [String] = []
        ) {
            self.url = url
            self.title = title
            self.description = description
            self.site = site
            self.images = images
        }
    }

    /// Something that we did to a message and that has not left yet, or failed.
    public struct Change: Sendable, Equatable, Identifiable {
        /// Its own id, for ``Account/retry(_:)`` and ``Account/cancel(_:)``.
        public let id: String
        /// What.
        public let kind: Kind
        /// ``SendState/queued`` or ``SendState/failed(reason:)``.
        public let state: SendState

        /// What one may do to a message.
        public enum Kind: Sendable, Equatable {
            /// Another text (XEP-0308).
            case correction
            /// It was taken back (XEP-0424).
            case retraction
            /// Other reactions (XEP-0444).
            case reactions
        }

        init(_ change: WhimbrelFFI.Change) {
            id = change.id
            kind =
                switch change.kind {
                case .correction: .correction
                case .retraction: .retraction
                case .reactions: .reactions
                }
            state = SendState(change.state)
        }
    }

    init(_ message: WhimbrelFFI.Message) {
        id = message.id
        with = message.with
        from = message.from
        isMine = message.mine
        text = message.text
        spans = message.spans.map(TextSpan.init)
        isAction = message.isAction
        isEmojiOnly = message.emojiOnly
        isPlaceholder = message.placeholder
        at = Date(milliseconds: message.at)
        writtenAt = message.writtenAt.map(Date.init(milliseconds:))
        state = message.state.map(SendState.init)
        isEdited = message.edited
        isRetracted = message.retracted
        reactions = message.reactions.map { Reaction(text: $0.text, count: Int($0.count), isMine: $0.mine) }
        reply = message.reply.map { ReplyTo(id: $0.id, quote: $0.quote) }
        spoiler = message.spoiler
        thread = message.thread.map { Thread(id: $0.id, parent: $0.parent) }
        links = message.links.map { Link(url: $0.url, description: $0.description) }
        previews = message.previews.map {
            Preview(url: $0.url, title: $0.title, description: $0.description, site: $0.site, images: $0.images)
        }
        change = message.change.map(Change.init)
        startsDay = message.startsDay
        startsGroup = message.startsGroup
    }
}

/// A part of a text that is more than plain.
public struct TextSpan: Sendable, Equatable {
    /// Which, as attributed strings count; `Range(range, in: text)` is the same for a `String`.
    public let range: NSRange
    /// What it is.
    public let style: Style

    /// What a part of a text is.
    public enum Style: Sendable, Equatable {
        /// What only makes a style, such as a `*`, in the text as it was written: to be dimmed, or left out.
        case directive
        /// Strong.
        case strong
        /// Emphasis.
        case emphasis
        /// Struck through.
        case strike
        /// Monospaced, within a line.
        case mono
        /// A block as it was written, in a font of one width.
        case preformatted
        /// Lines that somebody said before. One within another is nested.
        case quote
        /// To somewhere else: `http`, `https`, `xmpp`, `mailto` or `tel`. Nobody may follow it before a person has said so.
        case link(url: String)
        /// A place on the earth (RFC 5870), in WGS 84: degrees north and east, metres above the ellipsoid, and how many metres it may
        /// be off.
        case location(latitude: Double, longitude: Double, altitude: Double?, uncertainty: Double?)
        /// Somebody is meant by it, by their address (XEP-0372).
        case mention(whom: String)
    }

    init(_ span: WhimbrelFFI.Span) {
        range = NSRange(location: Int(span.start), length: Int(span.end) - Int(span.start))
        style =
            switch span.style {
            case .directive: .directive
            case .strong: .strong
            case .emphasis: .emphasis
            case .strike: .strike
            case .mono: .mono
            case .preformatted: .preformatted
            case .quote: .quote
            case .link(let url): .link(url: url)
            case .location(let place):
                .location(
                    latitude: place.latitude, longitude: place.longitude, altitude: place.altitude,
                    uncertainty: place.uncertainty)
            case .mention(let whom): .mention(whom: whom)
            }
    }
}

/// A hole in what we have of the archive.
public struct Gap: Sendable, Equatable, Identifiable {
    /// Stable for ever, and different from every message's.
    public let id: String
    /// What kind of hole.
    public let kind: Kind

    /// What kind of hole.
    public enum Kind: Sendable, Equatable {
        /// Messages were missed and are being fetched.
        case missing
        /// From before the first sign-in on this device; fetched by ``Timeline/older(limit:)``.
        case unfetched
        /// The server no longer has it.
        case noLongerOnServer
    }

    init(_ gap: WhimbrelFFI.Gap) {
        id = gap.id
        kind =
            switch gap.kind {
            case .missing: .missing
            case .unfetched: .unfetched
            case .noLongerOnServer: .noLongerOnServer
            }
    }
}

/// One line of a ``ConversationList``.
public struct Conversation: Sendable, Equatable, Identifiable {
    /// The address of whom it is with.
    public let with: String
    /// The contact's name, or else what they call themselves, or else the local part of the address.
    public let name: String
    /// Their picture's hash, once the picture is here: see ``Account/avatar(_:)``.
    public let avatar: String?
    /// We do not hear of them (XEP-0191).
    public let isBlocked: Bool
    /// The newest message; none where it was only begun.
    public let last: Message?
    /// How many were not read.
    public let unread: Int
    /// What the contact is doing.
    public let chatState: ChatState?
    /// What was begun and not sent.
    public let draft: Draft?
    /// Somebody who is not in our roster and whom we have never written to: they learn nothing of us until we do, or add or accept
    /// them. They stand behind those whom we know.
    public let isStranger: Bool
    /// What they are told of what we do, where that is otherwise than in general.
    public let signals: Signals?
    /// It stands above those that are not.
    public let isPinned: Bool
    /// Until when nothing in it is notified of.
    public let muted: Mute?
    /// It stands apart, behind all others.
    public let isArchived: Bool
    /// Of what in it to be notified, while it is not muted.
    public let notify: Notify

    /// The address.
    public var id: String { with }

    init(_ conversation: WhimbrelFFI.Conversation) {
        with = conversation.with
        name = conversation.name
        avatar = conversation.avatar
        isBlocked = conversation.blocked
        last = conversation.last.map(Message.init)
        unread = Int(clamping: conversation.unread)
        chatState = conversation.chatState.map(ChatState.init)
        draft = conversation.draft.map { Draft(text: $0.text, replyTo: $0.replyTo) }
        isStranger = conversation.isStranger
        signals = conversation.signals.map(Signals.init)
        isPinned = conversation.pinned
        muted = conversation.muted.map(Mute.init)
        isArchived = conversation.archived
        notify = Notify(conversation.notify)
    }
}

/// What contacts are told of what we do, without our writing it; only those who may see our presence.
public struct Signals: Sendable, Equatable {
    /// That their messages have arrived (XEP-0184).
    public var delivered: Bool
    /// That we have seen them (XEP-0333).
    public var displayed: Bool
    /// That we are typing, or look (XEP-0085); those, too, whom we have written to.
    public var typing: Bool

    /// All of it, but for what is said.
    public init(delivered: Bool = true, displayed: Bool = true, typing: Bool = true) {
        self.delivered = delivered
        self.displayed = displayed
        self.typing = typing
    }

    init(_ signals: WhimbrelFFI.Signals) {
        self.init(delivered: signals.delivered, displayed: signals.displayed, typing: signals.typing)
    }

    var generated: WhimbrelFFI.Signals {
        WhimbrelFFI.Signals(delivered: delivered, displayed: displayed, typing: typing)
    }
}

/// What was begun and not sent.
public struct Draft: Sendable, Equatable {
    /// The text so far.
    public var text: String
    /// Which message it answers.
    public var replyTo: String?

    /// The text so far, and which message it answers.
    public init(text: String, replyTo: String? = nil) {
        self.text = text
        self.replyTo = replyTo
    }

    var generated: WhimbrelFFI.Draft { WhimbrelFFI.Draft(text: text, replyTo: replyTo) }
}

/// Until when a conversation is muted.
public enum Mute: Sendable, Equatable {
    /// Until this time, by the millisecond.
    case until(Date)
    /// Until it is said otherwise.
    case forEver

    init(_ mute: WhimbrelFFI.Mute) {
        self =
            switch mute {
            case .until(let at): .until(Date(milliseconds: at))
            case .forEver: .forEver
            }
    }

    var generated: WhimbrelFFI.Mute {
        switch self {
        case .until(let time): .until(at: time.milliseconds)
        case .forEver: .forEver
        }
    }
}

/// Of what in a conversation to be notified (XEP-0492).
public enum Notify: Sendable, Equatable {
    /// Of every message.
    case always
    /// Of those that mention us, by address (XEP-0372) or by name, or answer us (XEP-0461).
    case onMention
    /// Of none.
    case never

    init(_ notify: WhimbrelFFI.Notify) {
        self =
            switch notify {
            case .always: .always
            case .onMention: .onMention
            case .never: .never
            }
    }

    var generated: WhimbrelFFI.Notify {
        switch self {
        case .always: .always
        case .onMention: .onMention
        case .never: .never
        }
    }
}

/// What a contact or we are doing in a conversation (XEP-0085).
public enum ChatState: Sendable, Equatable {
    /// Attention is on the conversation.
    case active
    /// Typing.
    case composing
    /// Stopped typing.
    case paused
    /// Not looking.
    case inactive
    /// Closed the conversation.
    case gone

    init(_ state: WhimbrelFFI.ChatState) {
        self =
            switch state {
            case .active: .active
            case .composing: .composing
            case .paused: .paused
            case .inactive: .inactive
            case .gone: .gone
            }
    }

    var generated: WhimbrelFFI.ChatState {
        switch self {
        case .active: .active
        case .composing: .composing
        case .paused: .paused
        case .inactive: .inactive
        case .gone: .gone
        }
    }
}

/// One line of a ``ContactList``.
public struct Contact: Sendable, Equatable, Identifiable {
    /// Whose.
    public let address: String
    /// The name that the user gave.
    public let name: String?
    /// Who sees whose presence.
    public let subscription: Subscription
    /// Our request to see their presence was not answered yet.
    public let isAsked: Bool
    /// They ask to see our presence: see ``Account/acceptContact(_:)``.
    public let asks: Bool
    /// We let them see our presence once they ask (RFC 6121 §3.4).
    public let isApproved: Bool
    /// In which groups they are shown.
    public let groups: [String]
    /// We do not hear of them (XEP-0191).
    public let isBlocked: Bool
    /// Any of their devices is online.
    public let isAvailable: Bool
    /// How they are there, if they are.
    public let presence: Presence?
    /// What they call themselves (XEP-0172).
    public let nickname: String?
    /// Their picture's hash (XEP-0084), once the picture is here: see ``Account/avatar(_:)``.
    public let avatar: String?

    /// The address.
    public var id: String { address }

    /// Who sees whose presence (RFC 6121 §2.1.2.5).
    public enum Subscription: Sendable, Equatable {
        /// Nobody; `none` in the specification, which Swift has another meaning for.
        case neither
        /// We see theirs.
        case to
        /// They see ours.
        case from
        /// Both.
        case both
    }

    init(_ contact: WhimbrelFFI.Contact) {
        address = contact.jid
        name = contact.name
        subscription =
            switch contact.subscription {
            case .none: .neither
            case .to: .to
            case .from: .from
            case .both: .both
            }
        isAsked = contact.asked
        asks = contact.asks
        isApproved = contact.approved
        groups = contact.groups
        isBlocked = contact.blocked
        isAvailable = contact.available
        presence = contact.presence.map(Presence.init)
        nickname = contact.nickname
        avatar = contact.avatar
    }
}

/// How somebody is there, all of their devices taken together; or how we are, on this one (RFC 6121 §4.7.2).
public struct Presence: Sendable, Equatable {
    /// How much they are there: as the device says that is to get messages.
    public let show: Show
    /// What they say of it.
    public let text: String?
    /// Since when nobody has looked at any of their devices (XEP-0319); nothing: somebody looks, or nobody says, as we never do.
    public let idleSince: Date?

    /// How much somebody is there (RFC 6121 §4.7.2.1).
    public enum Show: Sendable, Equatable {
        /// Wants to talk.
        case chat
        /// There.
        case available
        /// Away for a moment.
        case away
        /// Away for longer.
        case extendedAway
        /// Not to be disturbed.
        case doNotDisturb

        var generated: WhimbrelFFI.Show {
            switch self {
            case .chat: .chat
            case .available: .available
            case .away: .away
            case .extendedAway: .extendedAway
            case .doNotDisturb: .doNotDisturb
            }
        }
    }

    init(_ presence: WhimbrelFFI.Presence) {
        show =
            switch presence.show {
            case .chat: .chat
            case .available: .available
            case .away: .away
            case .extendedAway: .extendedAway
            case .doNotDisturb: .doNotDisturb
            }
        text = presence.text
        idleSince = presence.idleSince.map(Date.init(milliseconds:))
    }
}

/// A picture, as it is shown.
public struct Picture: Sendable, Equatable {
    /// Its media type, as whoever shows it says. What can be decoded is for the decoder to say.
    public var kind: String
    /// Its file.
    public var bytes: Data

    /// A file, and what it is.
    public init(kind: String, bytes: Data) {
        self.kind = kind
        self.bytes = bytes
    }

    init(_ picture: WhimbrelFFI.Picture) {
        self.init(kind: picture.kind, bytes: picture.bytes)
    }

    var generated: WhimbrelFFI.Picture { WhimbrelFFI.Picture(kind: kind, bytes: bytes) }
}

/// What the server is to know of somebody who is blocked (XEP-0377).
public struct Report: Sendable, Equatable {
    /// What it is about.
    public var reason: Reason
    /// For a person.
    public var text: String?
    /// The ids of messages that show it; the server finds them in our archive.
    public var messages: [String]

    /// What a report is about.
    public enum Reason: Sendable, Equatable {
        /// What nobody wants to read.
        case spam
        /// What hurts.
        case abuse
    }

    /// What it is about, and what shows it.
    public init(reason: Reason, text: String? = nil, messages: [String] = []) {
        self.reason = reason
        self.text = text
        self.messages = messages
    }

    var generated: WhimbrelFFI.Report {
        let reason: WhimbrelFFI.ReportReason =
            switch reason {
            case .spam: .spam
            case .abuse: .abuse
            }
        return WhimbrelFFI.Report(reason: reason, text: text, messages: messages)
    }
}

/// An app server that can wake this device (XEP-0357 §5).
public struct Push: Sendable, Equatable {
    /// Its address.
    public var service: String
    /// Which device, in its own words.
    public var node: String
    /// What it wants to hear from our server besides.
    public var secret: String?

    /// An app server, and what it calls this device.
    public init(service: String, node: String, secret: String? = nil) {
        self.service = service
        self.node = node
        self.secret = secret
    }

    init(_ push: WhimbrelFFI.Push) {
        self.init(service: push.service, node: push.node, secret: push.secret)
    }

    var generated: WhimbrelFFI.Push {
        WhimbrelFFI.Push(service: service, node: node, secret: secret)
    }
}

/// How far the registration for push notifications is.
public enum PushState: Sendable, Equatable {
    /// None is wanted, and none is there.
    case off
    /// The server was not told yet, or has not answered.
    case waiting
    /// The server will tell the app server.
    case on
    /// The server does not offer it: a suspended account hears of nothing.
    case unsupported
    /// The server said no, by a condition of RFC 6120 §8.3.3. It is asked again in the next session.
    case refused(condition: String)
    /// Signed out without a connection: our server goes on telling that app server, which has to ignore it.
    case leftBehind(Push)

    init(_ state: WhimbrelFFI.PushState) {
        self =
            switch state {
            case .off: .off
            case .waiting: .waiting
            case .on: .on
            case .unsupported: .unsupported
            case .refused(let condition): .refused(condition: condition)
            case .leftBehind(let push): .leftBehind(Push(push))
            }
    }
}

/// What a push has brought.
public struct WakeUp: Sendable, Equatable {
    /// Messages to notify of, oldest first, the newest 200 at most. Of a text or a quotation of more than 4 KiB the beginning, with
    /// "…" behind it; of links the first; no previews.
    public let notify: [Message]
    /// The ids of messages whose notifications are to be taken back: they were read, perhaps on another device, or their sender took
    /// them back.
    public let withdraw: [String]
    /// Messages of the account that were not read: its part of the badge.
    public let unread: Int
    /// Whether that was everything that the server had.
    public let isComplete: Bool

    init(_ wakeUp: WhimbrelFFI.WakeUp) {
        notify = wakeUp.notify.map(Message.init)
        withdraw = wakeUp.withdraw
        unread = Int(clamping: wakeUp.unread)
        isComplete = wakeUp.complete
    }
}
