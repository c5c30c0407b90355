import Foundation
internal import WhimbrelFFI

// How a call crosses the boundary: its errors become ours, and its task's cancellation ends the waiting.
//
// What UniFFI generates does not drop a Rust future that nobody awaits any more. So the generated call runs in a task of its
// own, which is left alone when the caller's is cancelled: a command that was taken is carried out, its answer is dropped. What
// should stop then is told so.

/// A call that neither waits nor reads.
func immediately<Value>(_ call: () throws -> Value) throws -> Value {
    do { return try call() } catch { throw WhimbrelError(thrown: error) }
}

/// What the library asks of the app, and what the app throws there.
func told<Value>(by what: String, _ call: () throws -> Value) throws -> Value {
    do {
        return try call()
    } catch let error as WhimbrelError {
        throw error.generated
    } catch {
        throw WhimbrelFFI.WhimbrelError.Bug(report: "the app's \(what) failed: \(error)")
    }
}

/// A call that waits. Throws `CancellationError` as soon as the caller's task is cancelled; before that nothing was begun.
func waiting<Value: Sendable>(
    endedBy end: (@Sendable () -> Void)? = nil, _ call: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try Task.checkCancellation()
    let outcome = Outcome<Value>()
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            outcome.awaited(by: continuation)
            Task {
                do { outcome.give(.success(try await call())) } catch { outcome.give(.failure(WhimbrelError(thrown: error))) }
            }
        }
    } onCancel: {
        outcome.give(.failure(CancellationError()))
        end?()
    }
}

/// The first answer counts, and may come before anybody waits for it.
private final class Outcome<Value: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var given: Result<Value, any Error>?
    private var continuation: CheckedContinuation<Value, any Error>?

    func awaited(by continuation: CheckedContinuation<Value, any Error>) {
        let given = lock.withLock {
            if self.given == nil { self.continuation = continuation }
            return self.given
        }
        if let given { continuation.resume(with: given) }
    }

    func give(_ result: Result<Value, any Error>) {
        let waiting = lock.withLock {
            guard given == nil else { return nil as CheckedContinuation<Value, any Error>? }
            given = result
            defer { continuation = nil }
            return continuation
        }
        waiting?.resume(with: result)
    }
}

extension Duration {
    /// For the boundary, which knows no negative times, and none without end.
    var seconds: TimeInterval {
        let (seconds, attoseconds) = components
        return min(max(Double(seconds) + Double(attoseconds) / 1e18, 0), 1e9)
    }
}

extension Date {
    /// The boundary's times are milliseconds since 1970, UTC.
    init(milliseconds: Int64) {
        self.init(timeIntervalSince1970: Double(milliseconds) / 1000)
    }

    /// Also of a time that is too far away, or none at all.
    var milliseconds: Int64 {
        Int64(exactly: (timeIntervalSince1970 * 1000).rounded()) ?? (self < Date(timeIntervalSince1970: 0) ? .min : .max)
    }
}
