import Foundation
internal import WhimbrelFFI

extension Account {
    /// What somebody says of themselves at length (XEP-0292, XEP-0054), as their server has it now; we ourselves, too. Empty where they
    /// say nothing, or nothing to us.
    ///
    /// Throws ``WhimbrelError/offline``, ``WhimbrelError/timedOut``, ``WhimbrelError/serverRefused(condition:text:)``.
    public func card(of address: String) async throws -> Card {
        try await waiting { [account] in Card(try await account.card(jid: address)) }
    }

    /// The same as it was when it was last read, and our own as it was last set; for showing it at once, and offline.
    public func knownCard(of address: String) async throws -> KnownCard? {
        try await waiting { [account] in try await account.knownCard(jid: address).map(KnownCard.init) }
    }

    /// Says this of ourselves at length. What the server has of us and a card has no place for stays. Returns when it is durable; the
    /// server has it as soon as there is a connection.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where a value is empty or too long, or there are too many.
    public func setCard(_ card: Card, for audience: Audience) async throws {
        try await waiting { [account] in
            try await account.setCard(card: card.generated, audience: audience.generated)
        }
    }
}

/// What somebody says of themselves at length (XEP-0292).
public struct Card: Sendable, Equatable {
    /// The whole name, as it is shown.
    public var fullName: String?
    /// Its parts.
    public var name: Name
    /// What they are called besides.
    public var nicknames: [String]
    /// As it is written: of a date of RFC 6350 §4.3.1, parts may be missing (`--08-06`).
    public var birthday: String?
    /// Where they belong to.
    public var organisations: [Organisation]
    /// What they are there.
    public var titles: [String]
    /// What they do there.
    public var roles: [String]
    /// E-mail addresses.
    public var emails: [Line]
    /// Telephone numbers, without `tel:`.
    public var telephones: [Line]
    /// Postal addresses.
    public var addresses: [PostalAddress]
    /// Web sites. Nobody has looked what they are.
    public var urls: [Line]
    /// Whatever else they say.
    public var note: String?

    /// Whatever is to be said.
    public init(
        fullName: String? = nil, name: Name = Name(), nicknames: [String] = [], birthday: String? = nil,
        organisations: [Organisation] = [], titles: [String] = [], roles: [String] = [], emails: [Line] = [],
        telephones: [Line] = [], addresses: [PostalAddress] = [], urls: [Line] = [], note: String? = nil
    ) {
        self.fullName = fullName
        self.name = name
        self.nicknames = nicknames
        self.birthday = birthday
        self.organisations = organisations
        self.titles = titles
        self.roles = roles
        self.emails = emails
        self.telephones = telephones
        self.addresses = addresses
        self.urls = urls
        self.note = note
    }

    /// The parts of a name.
    public struct Name: Sendable, Equatable {
        /// Family name.
        public var family: String?
        /// Given name.
        public var given: String?
        /// Others between these.
        public var additional: String?
        /// Before all: `Dr.`
        public var prefix: String?
        /// Behind all: `Jr.`
        public var suffix: String?

        /// Whichever there are.
        public init(
            family: String? = nil, given: String? = nil, additional: String? = nil, prefix: String? = nil,
            suffix: String? = nil
        ) {
            self.family = family
            self.given = given
            self.additional = additional
            self.prefix = prefix
            self.suffix = suffix
        }
    }

    /// An organisation.
    public struct Organisation: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// Which part of it, the larger ones first.
        public var units: [String]

        /// An organisation, or a part of it.
        public init(_ name: String, units: [String] = []) {
            self.name = name
            self.units = units
        }
    }

    /// One of several ways to reach somebody.
    public struct Line: Sendable, Equatable {
        /// The address, number or URL.
        public var value: String
        /// What it is: `home`, `work`, `cell`, `fax` and the like (RFC 6350 §5.6), in small letters.
        public var kinds: [String]
        /// Better than the others.
        public var isPreferred: Bool

        /// An address, number or URL, and what it is.
        public init(_ value: String, kinds: [String] = [], isPreferred: Bool = false) {
            self.value = value
            self.kinds = kinds
            self.isPreferred = isPreferred
        }
    }

    /// A postal address.
    public struct PostalAddress: Sendable, Equatable {
        /// As in a ``Line``.
        public var kinds: [String]
        /// As in a ``Line``.
        public var isPreferred: Bool
        /// Post office box.
        public var postBox: String?
        /// Flat, floor, suite.
        public var extended: String?
        /// Street and number.
        public var street: String?
        /// Town.
        public var locality: String?
        /// State, province.
        public var region: String?
        /// Postal code.
        public var postcode: String?
        /// Country.
        public var country: String?

        /// Whatever of it there is.
        public init(
            kinds: [String] = [], isPreferred: Bool = false, postBox: String? = nil, extended: String? = nil,
            street: String? = nil, locality: String? = nil, region: String? = nil, postcode: String? = nil,
            country: String? = nil
        ) {
            self.kinds = kinds
            self.isPreferred = isPreferred
            self.postBox = postBox
            self.extended = extended
            self.street = street
            self.locality = locality
            self.region = region
            self.postcode = postcode
            self.country = country
        }
    }
}

/// A card as it was.
public struct KnownCard: Sendable, Equatable {
    /// The card.
    public let card: Card
    /// When it was read, or set.
    public let readAt: Date

    init(_ known: WhimbrelFFI.KnownCard) {
        card = Card(known.card)
        readAt = Date(milliseconds: known.readAt)
    }
}

/// Who may read what we say of ourselves.
public enum Audience: Sendable, Equatable {
    /// Whoever sees our presence.
    case contacts
    /// Everybody who knows our address.
    case everybody

    var generated: WhimbrelFFI.Audience {
        switch self {
        case .contacts: .contacts
        case .everybody: .everybody
        }
    }
}

extension Card {
    init(_ card: WhimbrelFFI.Card) {
        let name = Name(
            family: card.name.family, given: card.name.given, additional: card.name.additional,
            prefix: card.name.prefix, suffix: card.name.suffix)
        self.init(
            fullName: card.fullName, name: name, nicknames: card.nicknames, birthday: card.birthday,
            organisations: card.organisations.map { Organisation($0.name, units: $0.units) }, titles: card.titles,
            roles: card.roles, emails: card.emails.map(Line.init), telephones: card.telephones.map(Line.init),
            addresses: card.addresses.map(PostalAddress.init), urls: card.urls.map(Line.init), note: card.note)
    }

    var generated: WhimbrelFFI.Card {
        let name = WhimbrelFFI.PersonName(
            family: name.family, given: name.given, additional: name.additional, prefix: name.prefix, suffix: name.suffix)
        return WhimbrelFFI.Card(
            fullName: fullName, name: name, nicknames: nicknames, birthday: birthday,
            organisations: organisations.map { WhimbrelFFI.Organisation(name: $0.name, units: $0.units) },
            titles: titles, roles: roles, emails: emails.map(\.generated), telephones: telephones.map(\.generated),
            addresses: addresses.map(\.generated), urls: urls.map(\.generated), note: note)
    }
}

extension Card.Line {
    init(_ line: WhimbrelFFI.CardLine) {
        self.init(line.value, kinds: line.kinds, isPreferred: line.preferred)
    }

    var generated: WhimbrelFFI.CardLine {
        WhimbrelFFI.CardLine(value: value, kinds: kinds, preferred: isPreferred)
    }
}

extension Card.PostalAddress {
    init(_ address: WhimbrelFFI.PostalAddress) {
        self.init(
            kinds: address.kinds, isPreferred: address.preferred, postBox: address.postBox, extended: address.extended,
            street: address.street, locality: address.locality, region: address.region, postcode: address.postcode,
            country: address.country)
    }

    var generated: WhimbrelFFI.PostalAddress {
        WhimbrelFFI.PostalAddress(
            kinds: kinds, preferred: isPreferred, postBox: postBox, extended: extended, street: street,
            locality: locality, region: region, postcode: postcode, country: country)
    }
}
