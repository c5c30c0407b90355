// The library's test functions, through the face's own conversion.
@testable import Whimbrel
import func WhimbrelFFI.panicAsync
import func WhimbrelFFI.panicSync

func panicNow() throws {
    try immediately { try panicSync() }
}

func panicLater() async throws {
    try await waiting { try await panicAsync() }
}

func isBug(_ error: any Error, _ report: String) -> Bool {
    if case .bug(let told) = error as? WhimbrelError { told.hasPrefix(report) } else { false }
}
