import Foundation
internal import WhimbrelFFI

/// Why something did not happen. Each case is one decision of a user interface.
///
/// Besides these, a call throws `CancellationError` when its task is cancelled.
public enum WhimbrelError: Error, Sendable, Equatable {
    /// There is no connection; the account goes on trying.
    case offline
    /// No answer within the time given.
    case timedOut
    /// The server does not accept this password: ask for it.
    case wrongPassword
    /// The server said no: the defined condition of RFC 6120 §4.9.3, §6.5 or §8.3.3, and the server's own words.
    case serverRefused(condition: String, text: String?)
    /// The connection is not safe: wrong certificate, no TLS, or weaker than it was. What is wrong is said for a person.
    case untrusted(what: String)
    /// No such host, account, contact or message.
    case notFound
    /// The caller's own mistake.
    case invalidInput(what: String)
    /// The disk is full. Goes on by itself once there is room.
    case storageFull
    /// The file cannot be used. It is never deleted: see ``Client/startOver(_:)``.
    case databaseUnusable(why: Unusable)
    /// The file is there and its key is not: see ``Client/startOver(_:)``.
    case keyLost
    /// The device is locked and the key cannot be had yet.
    case locked
    /// The account or the client was closed.
    case closed
    /// Suspended: call ``Client/resume()`` first.
    case suspended
    /// Another process has this account: the app, or an extension of it. Leave it to that one, or take it with
    /// ``Client/resume()``.
    case inUse
    /// A mistake of ours, or of the app's ``KeyVault``. The account goes on; please report it. The report has no content of
    /// messages.
    case bug(report: String)

    /// Why a database cannot be used.
    public enum Unusable: Sendable, Equatable {
        /// A later version of the library has written it.
        case newer
        /// It is encrypted with another key.
        case wrongKey
        /// It is damaged.
        case corrupt
        /// It cannot be written.
        case readOnly
    }
}

extension WhimbrelError {
    init(_ error: WhimbrelFFI.WhimbrelError) {
        self =
            switch error {
            case .Offline: .offline
            case .TimedOut: .timedOut
            case .WrongPassword: .wrongPassword
            case .ServerRefused(let condition, let text): .serverRefused(condition: condition, text: text)
            case .Untrusted(let what): .untrusted(what: what)
            case .NotFound: .notFound
            case .InvalidInput(let what): .invalidInput(what: what)
            case .StorageFull: .storageFull
            case .DatabaseUnusable(.newer): .databaseUnusable(why: .newer)
            case .DatabaseUnusable(.wrongKey): .databaseUnusable(why: .wrongKey)
            case .DatabaseUnusable(.corrupt): .databaseUnusable(why: .corrupt)
            case .DatabaseUnusable(.readOnly): .databaseUnusable(why: .readOnly)
            case .KeyLost: .keyLost
            case .Locked: .locked
            case .Closed: .closed
            case .Suspended: .suspended
            case .InUse: .inUse
            case .Bug(let report): .bug(report: report)
            }
    }

    /// What the boundary threw. What is not of its own kind is a mistake in what was generated.
    init(thrown error: any Error) {
        self = (error as? WhimbrelFFI.WhimbrelError).map(Self.init) ?? .bug(report: "\(error)")
    }

    var generated: WhimbrelFFI.WhimbrelError {
        switch self {
        case .offline: .Offline
        case .timedOut: .TimedOut
        case .wrongPassword: .WrongPassword
        case .serverRefused(let condition, let text): .ServerRefused(condition: condition, text: text)
        case .untrusted(let what): .Untrusted(what: what)
        case .notFound: .NotFound
        case .invalidInput(let what): .InvalidInput(what: what)
        case .storageFull: .StorageFull
        case .databaseUnusable(.newer): .DatabaseUnusable(why: .newer)
        case .databaseUnusable(.wrongKey): .DatabaseUnusable(why: .wrongKey)
        case .databaseUnusable(.corrupt): .DatabaseUnusable(why: .corrupt)
        case .databaseUnusable(.readOnly): .DatabaseUnusable(why: .readOnly)
        case .keyLost: .KeyLost
        case .locked: .Locked
        case .closed: .Closed
        case .suspended: .Suspended
        case .inUse: .InUse
        case .bug(let report): .Bug(report: report)
        }
    }
}
