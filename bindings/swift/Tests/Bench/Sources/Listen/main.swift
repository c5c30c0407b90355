// What `cargo xtask bench ffi` measures of Swift; what is measured, and why so, stands in tests/bench/src/ffi.rs. Its samples are
// lines of JSON, in µs.
//
//     Listen DIRECTORY SAMPLES
import CPlain
import Foundation
import Whimbrel
import func WhimbrelFFI.lastCommit
import func WhimbrelFFI.repeatUpdates
import struct WhimbrelFFI.Commit

let (romeo, juliet) = ("romeo@montague.lit", "juliet@capulet.lit")
let directory = CommandLine.arguments[1]
let samples = Int(CommandLine.arguments[2])!

func tell(_ line: String) {
    FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}

/// CLOCK_MONOTONIC, as the library's.
func nanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// From each commit to the loop on the main actor, as a screen's is.
func events(_ account: Account, _ timeline: Timeline) async throws -> [Double] {
    let (arrived, arrive) = AsyncStream.makeStream(of: (at: Int64, commit: Commit).self)
    let listening = Task { @MainActor in
        defer { arrive.finish() }
        for try await _ in timeline.updates {
            let now = nanoseconds()
            arrive.yield((now, try lastCommit()))
        }
    }
    defer { listening.cancel() }
    var arrivals = arrived.makeAsyncIterator()
    // What was there before.
    _ = await arrivals.next()
    var micros: [Double] = []
    for _ in 0..<samples {
        // Until the loop waits in the library again.
        try await Task.sleep(for: .milliseconds(2))
        let (before, asked) = (try lastCommit().count, nanoseconds())
        try await account.send("But soft, what light through yonder window breaks?", to: juliet)
        guard let (at, commit) = await arrivals.next() else { fatalError("nobody listens") }
        // Now and then the search index follows, in a commit of its own.
        guard commit.count == before + 1 else { continue }
        precondition(asked < commit.at && commit.at < at, "another clock")
        micros.append(Double(at - commit.at) / 1e3)
    }
    return micros
}

/// What one of `size` takes, batch by batch.
func batches(of size: Int, _ work: (Int) async throws -> Void) async rethrows -> [Double] {
    let count = 20
    var micros: [Double] = []
    // The first half warms up.
    for _ in 0..<2 * count {
        let began = nanoseconds()
        try await work(size)
        micros.append(Double(nanoseconds() - began) / 1e3 / Double(size))
    }
    return Array(micros.suffix(count))
}

let client = try await Client.open(
    directory: URL(fileURLWithPath: directory), vault: FileVault(directory: URL(fileURLWithPath: "\(directory)/keys")))
let account = try await client.addAccount(romeo)
let timeline = try await account.timeline(with: juliet)
_ = try await events(account, timeline)
tell("{\"events\":\(try await events(account, timeline))}")

let newest = try await account.timeline(with: juliet, limit: 1)
try repeatUpdates(on: true)
let updates = try await batches(of: 500) { size in
    var updates = newest.updates.makeAsyncIterator()
    for _ in 0..<size { _ = try await updates.next() }
}
try repeatUpdates(on: false)
tell("{\"updates\":\(updates)}")
try await client.close()

try await keepUpdate(in: directory, of: romeo, with: juliet)
var payload = [UInt8](repeating: 0, count: 4096)
var bytes = 0
let calls = await batches(of: 10_000) { size in
    for _ in 0..<size { bytes = whimbrel_kept_update(&payload, payload.count) }
}
tell("{\"calls\":\(calls)}")
tell("{\"bytes\":\(bytes)}")
