import Foundation
internal import WhimbrelFFI

/// Takes what the library says for a log: see ``Client/log(to:upTo:)``. No content and no credentials at any level.
public protocol LogSink: AnyObject, Sendable {
    /// One line. Called on a thread that has nothing else to do, one line at a time: it may block.
    ///
    /// - Parameter target: The part of the library that says it, such as `whimbrel_engine::turn`.
    func log(_ text: String, level: LogLevel, target: String)
}

/// How much a line of the log matters.
public enum LogLevel: Sendable, Equatable {
    /// A mistake of the library, which its authors want to hear about.
    case error
    /// Something that should not be, of the device or a server.
    case warning
    /// What happens: online, offline.
    case info
    /// Whose account, which server, and why. Addresses are said here and nowhere else.
    case debug

    init(_ level: WhimbrelFFI.LogLevel) {
        self =
            switch level {
            case .error: .error
            case .warn: .warning
            case .info: .info
            case .debug: .debug
            }
    }

    var generated: WhimbrelFFI.LogLevel {
        switch self {
        case .error: .error
        case .warning: .warn
        case .info: .info
        case .debug: .debug
        }
    }
}

/// Looks up SRV records (RFC 2782) by the platform's own means, as `DNSServiceQueryRecord`: see
/// ``Client/open(directory:vault:options:resolver:)``.
public protocol Resolver: AnyObject, Sendable {
    /// The records of a name such as `_xmpp-client._tcp.example.org`, in any order; none where there are none. What is thrown is no
    /// proof that there are none: what was found before is tried, or else the domain itself. Called on threads that may block, and
    /// waited for five seconds at most.
    func serviceRecords(of name: String) throws -> [ServiceRecord]
}

/// An SRV record.
public struct ServiceRecord: Sendable, Equatable {
    /// Lower ones come first.
    public var priority: UInt16
    /// Among equals, how often one is the first.
    public var weight: UInt16
    /// TCP port.
    public var port: UInt16
    /// The host; `.` says that there is no such service.
    public var target: String

    /// As it was found.
    public init(priority: UInt16, weight: UInt16, port: UInt16, target: String) {
        self.priority = priority
        self.weight = weight
        self.port = port
        self.target = target
    }
}

/// The app's sink, as the library wants it.
final class BridgedLog: WhimbrelFFI.LogSink {
    private let sink: any LogSink

    init(_ sink: any LogSink) {
        self.sink = sink
    }

    func log(level: WhimbrelFFI.LogLevel, target: String, text: String) throws {
        sink.log(text, level: LogLevel(level), target: target)
    }
}

/// The app's resolver, as the library wants it.
final class BridgedResolver: WhimbrelFFI.Resolver {
    private let resolver: any Resolver

    init(_ resolver: any Resolver) {
        self.resolver = resolver
    }

    func srv(name: String) throws -> [WhimbrelFFI.Srv] {
        try told(by: "resolver") {
            try resolver.serviceRecords(of: name).map {
                WhimbrelFFI.Srv(priority: $0.priority, weight: $0.weight, port: $0.port, target: $0.target)
            }
        }
    }
}
