// As an extension that a push has started: `cargo xtask bench wake_up`. The account was signed in.
//
//     WakeUp DIRECTORY ADDRESS
import Foundation
import Whimbrel

/// Says what the push has brought, and is suspended.
func wakeUp(_ address: String, in directory: URL) async throws {
    let client = try await Client.open(
        directory: directory, vault: FileVault(directory: directory), options: Options(isExtension: true))
    guard let account = try client.account(address) else { fatalError("no account") }
    var events = account.events.makeAsyncIterator()
    let woken = try await client.wakeUp(address, within: .seconds(120))
    var resumed: Bool?
    while resumed == nil, let event = try await events.next() {
        if case .online(let online, _) = event { resumed = online }
    }
    // The texts are the bench's own, and need no escaping. An encoder's memory is none of what is measured.
    let told = "\"resumed\":\(resumed == true),\"complete\":\(woken.isComplete),\"notify\":\(woken.notify.map(\.text))"
    FileHandle.standardOutput.write(Data("{\"woken\":{\(told)}}\n".utf8))
    _ = readLine()
    try await client.close()
}

try await wakeUp(CommandLine.arguments[2], in: URL(fileURLWithPath: CommandLine.arguments[1]))
