// Another process on a directory of a test's. It says what it does line by line, and ends when the test does.
//
//     SecondProcess sign-in DIRECTORY ADDRESS PORT CERTIFICATES TO TEXT ID    signs in, sends, and waits to be killed
//     SecondProcess again DIRECTORY ADDRESS TO    connects, and says how that went
//     SecondProcess wake-up DIRECTORY ADDRESS     as an extension
import Foundation
import Whimbrel

let arguments = CommandLine.arguments
let (what, directory, address) = (arguments[1], URL(fileURLWithPath: arguments[2]), arguments[3])
// The test holds the other end: when it is gone, so are we.
Thread.detachNewThread {
    // Not `readLine`: it would hold a lock that `exit` waits for.
    var byte: UInt8 = 0
    while read(STDIN_FILENO, &byte, 1) > 0 {}
    exit(1)
}

func tell(_ line: String) {
    FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}

let client = try await Client.open(
    directory: directory, vault: FileVault(directory: directory.appendingPathComponent("keys")),
    options: Options(isExtension: what == "wake-up"))

switch what {
case "sign-in":
    let connection = Connection(
        server: Server(host: "127.0.0.1", port: UInt16(arguments[4])!),
        certificates: try String(contentsOfFile: arguments[5], encoding: .utf8))
    let account = try await client.addAccount(address, connection: connection)
    try await account.signIn(password: "secret")
    try await account.sync(timeout: .seconds(60))
    try await account.send(arguments[7], to: arguments[6], id: arguments[8])
    try await account.sync(timeout: .seconds(60))
    tell("sent")
    try await Task.sleep(for: .seconds(600))
case "again":
    guard let account = try client.account(address) else { fatalError("no account") }
    var events = account.events.makeAsyncIterator()
    try await account.connect()
    while let event = try await events.next() {
        if case .online(let resumed, let afterStart) = event {
            tell("online resumed \(resumed) after start \(afterStart)")
            break
        }
    }
    try await account.sync(timeout: .seconds(60))
    for try await items in try await account.timeline(with: arguments[4], limit: 50).items {
        for case .message(let message) in items { tell("\(message.id) \(message.text)") }
        break
    }
    try await client.close()
    tell("end")
case "wake-up":
    do {
        let wakeUp = try await client.wakeUp(address, within: .seconds(30))
        tell("notify \(wakeUp.notify.map(\.text).joined(separator: ",")) complete \(wakeUp.isComplete)")
    } catch let error as WhimbrelError {
        tell("error \(error)")
    }
    try await client.close()
    tell("end")
default:
    fatalError("not understood: \(what)")
}
