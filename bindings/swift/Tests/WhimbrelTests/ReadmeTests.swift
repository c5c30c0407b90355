import Foundation
import Testing
import Whimbrel

private let package = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

extension OverARealServer {
    @Test("the readme shows the samples that are compiled here")
    func readme() throws {
        let compiled = try lines("Tests/WhimbrelTests/Samples.swift")
        let shown = try lines("README.md")
        let samples = blocks(of: compiled, from: { $0.hasPrefix("// sample: ") }, to: "// end")
        let fenced = blocks(of: shown, from: { $0 == "```swift" }, to: "```")
        #expect(samples.count == 9)
        #expect(samples == fenced)
        #expect(samples[0].count <= 20, "the first message is short")
    }

    @Test("the first message of the readme arrives", .timeLimit(.minutes(3)))
    func firstMessageArrives() async throws {
        try await World.play { world in
            let (romeo, directory) = (try await world.account("romeo"), world.path("phone"))
            let (_, juliet) = try await world.signedIn("juliet")
            let connection = try straight()
            let (shown, show) = AsyncStream.makeStream(of: [TimelineItem].self)
            let sample = Task {
                try await firstMessage(directory, romeo, juliet.address, connection) { show.yield($0) }
            }
            let received = try await juliet.timeline(with: romeo, limit: 50).messages { !$0.isEmpty }
            #expect(received.map(\.text) == ["But soft, what light?"])
            for await items in shown where items.messages.last?.text == "But soft, what light?" { break }
            sample.cancel()
            await #expect(throws: CancellationError.self) { try await sample.value }
        }
    }

    @Test("the public API is the one in api.txt")
    func publicAPI() throws {
        // …/.build/TRIPLE/debug/PROGRAM
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let build = URL(fileURLWithPath: program).deletingLastPathComponent()
        let out = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: out, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: out) }
        let extract = Process()
        extract.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        extract.arguments = [
            "swift", "symbolgraph-extract", "-module-name", "Whimbrel", "-I", build.appendingPathComponent("Modules").path,
            "-Xcc", "-fmodule-map-file=\(package.path)/Sources/CWhimbrel/module.modulemap",
            "-target", build.deletingLastPathComponent().lastPathComponent,
            "-minimum-access-level", "public", "-skip-synthesized-members", "-output-dir", out.path,
        ]
        try extract.run()
        extract.waitUntilExit()
        try #require(extract.terminationStatus == 0)
        let graph = try JSONDecoder().decode(
            Graph.self, from: Data(contentsOf: out.appendingPathComponent("Whimbrel.symbols.json")))

        let written = try lines("api.txt").filter { !$0.isEmpty && !$0.hasPrefix("#") }
        let found = graph.lines
        #expect(found.count > 100)
        if written != found {
            let new = package.appendingPathComponent("api.new.txt")
            try Data((["# The public API, compared by the tests."] + found + [""]).joined(separator: "\n").utf8).write(to: new)
            let gone = Set(written).subtracting(found).sorted().map { "- \($0)" }
            let come = Set(found).subtracting(written).sorted().map { "+ \($0)" }
            Issue.record(
                """
                The public API is another. If that is wanted, put \(new.path) in the place of bindings/swift/api.txt.
                \((gone + come).joined(separator: "\n"))
                """)
        }
    }
}

private func lines(_ file: String) throws -> [String] {
    try String(contentsOf: package.appendingPathComponent(file), encoding: .utf8).components(separatedBy: "\n")
}

/// What stands between two lines, without the indentation of the first.
private func blocks(of lines: [String], from begins: (String) -> Bool, to end: String) -> [[String]] {
    var blocks: [[String]] = []
    var indentation: Int?
    for line in lines {
        let trimmed = line.trimmingCharacters(in: .whitespaces)
        if begins(trimmed) {
            indentation = line.prefix { $0 == " " }.count
            blocks.append([])
        } else if trimmed == end {
            indentation = nil
        } else if let indentation {
            blocks[blocks.count - 1].append(String(line.dropFirst(indentation)))
        }
    }
    return blocks
}

/// What `swift symbolgraph-extract` writes, as far as we look.
private struct Graph: Decodable {
    struct Symbol: Decodable {
        struct Fragment: Decodable { let spelling: String }
        struct Identifier: Decodable { let precise: String }
        let identifier: Identifier
        let pathComponents: [String]
        let declarationFragments: [Fragment]
    }
    struct Relationship: Decodable {
        let kind: String
        let source: String
        let target: String
        let targetFallback: String?
    }
    let symbols: [Symbol]
    let relationships: [Relationship]

    /// One line a declaration, and one for each protocol that a type says it is.
    var lines: [String] {
        let names = symbols.map { ($0.identifier.precise, $0.pathComponents.joined(separator: ".")) }
        let name = Dictionary(names) { first, _ in first }
        let declared = symbols.map { symbol in
            let declaration = symbol.declarationFragments.map(\.spelling).joined()
            return "\(symbol.pathComponents.joined(separator: ".")): \(declaration)"
        }
        // What every type is besides differs from compiler to compiler.
        let told = ["Swift.Sendable", "Swift.Equatable", "Swift.Identifiable", "Swift.Error", "_Concurrency.AsyncSequence"]
        let conforming = relationships.compactMap { relationship -> String? in
            guard relationship.kind == "conformsTo", let type = name[relationship.source] else { return nil }
            guard let target = name[relationship.target] ?? relationship.targetFallback else { return nil }
            return told.contains(target) || name[relationship.target] != nil ? "\(type) is \(target)" : nil
        }
        return (declared + conforming).map { $0.replacingOccurrences(of: "\n", with: " ") }.sorted()
    }
}
