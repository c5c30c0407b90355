// What README.md shows, and what it stands on. `ReadmeTests` compares them.
import Foundation
import Whimbrel

func firstMessage(
    _ directory: URL, _ romeo: String, _ juliet: String, _ connection: Connection, show: ([TimelineItem]) -> Void
) async throws {
    // sample: first message
    let keys = try FileVault(directory: directory.appendingPathComponent("keys"))
    let client = try await Client.open(directory: directory, vault: keys)
    let account = try await client.addAccount(romeo, connection: connection)
    try await account.signIn(password: "secret")
    try await account.send("But soft, what light?", to: juliet)

    let timeline = try await account.timeline(with: juliet, limit: 50)
    for try await items in timeline.items {
        show(items)
    }
    // end
}

/// As in SwiftUI.
enum ScenePhase { case active, inactive, background }

/// What an app makes of UserNotifications.
protocol Notifications: AnyObject {
    var badge: Int { get set }
    func show(_ text: String, from: String, id: String)
    func withdraw(_ ids: [String])
}

/// What an app reads from an `NWPath`.
protocol NetworkPath {
    var isSatisfied: Bool { get }
    var isExpensive: Bool { get }
    var usesWifi: Bool { get }
    var usesCellular: Bool { get }
    var name: String? { get }
}

// sample: scene phases
/// When the scene is first active. What is wrong with one account is in its status, and the others connect.
func shown(_ client: Client) async throws {
    for account in try client.accounts { try? await account.connect() }
}

func changed(to phase: ScenePhase, _ client: Client) async throws {
    switch phase {
    case .active:
        try client.setForeground(true)
        // Connects what was connected before; a process begins with nothing connected.
        try? await client.resume()
    case .inactive:
        try client.setForeground(false)
    case .background:
        try await client.suspend(within: .seconds(5))
    }
}
// end

// sample: notification extension
func received(_ address: String, directory: URL, vault: any KeyVault, _ screen: some Notifications) async throws {
    let options = Options(isExtension: true)
    guard let client = try? await Client.open(directory: directory, vault: vault, options: options) else {
        // Before the first unlock nothing can be read: the next push tells, or the app.
        return
    }
    do {
        let wakeUp = try await client.wakeUp(address, within: .seconds(25))
        for message in wakeUp.notify { screen.show(message.text, from: message.with, id: message.id) }
        screen.withdraw(wakeUp.withdraw)
        screen.badge = wakeUp.unread
    } catch is WhimbrelError {
        // The app is running, and does it itself; or the next push tells.
    }
    try await client.close()
}
// end

// sample: background refresh
func refresh(_ client: Client, _ screen: some Notifications) async throws {
    for account in try client.accounts {
        guard let wakeUp = try? await client.wakeUp(account.address, within: .seconds(20)) else { continue }
        for message in wakeUp.notify { screen.show(message.text, from: message.with, id: message.id) }
        screen.withdraw(wakeUp.withdraw)
    }
}
// end

// sample: network path
func changed(to path: some NetworkPath, _ client: Client) throws {
    let kind: Network.Kind = path.usesWifi ? .wifi : path.usesCellular ? .cellular : .unknown
    try client.networkChanged(
        Network(isAvailable: path.isSatisfied, id: path.name, kind: kind, isMetered: path.isExpensive))
}
// end

// sample: registering by an invitation
/// By `xmpp:SERVER?register;preauth=TOKEN`. `ask` shows the server's questions, and gives the answers by their names.
func register(
    by uri: String, _ client: Client, ask: (RegistrationForm) async -> [String: String]
) async throws -> Account {
    let link = try XMPPLink(uri: uri)
    guard let server = link.address, case .register(let token) = link.action else {
        throw WhimbrelError.invalidInput(what: "the link is no invitation to a server")
    }
    let registration = try await client.register(server, token: token)
    while true {
        do {
            return try await registration.submit(await ask(registration.form))
        } catch WhimbrelError.serverRefused(condition: "conflict", _) {
            // The name is taken: another one, on the same form.
        }
    }
}
// end

// sample: links
/// Somebody's link or QR code, once a person has said yes: it may come from anybody.
func opened(_ link: XMPPLink, _ account: Account) async throws {
    guard let address = link.address else { return }
    switch link.action {
    case .roster(let name, _, let token?, _):
        try await account.addInviter(address, token: token, name: name)
    case .roster(let name, _, nil, _):
        try await account.addContact(address, name: name)
    case .message(let body, _, _):
        try await account.setDraft(Draft(text: body ?? ""), with: address)
    default:
        // Without an action: to talk to them. The rest is shown, at most.
        break
    }
}

/// What another phone scans: whoever does it first is accepted without a question.
func invitation(_ account: Account) async throws -> String {
    try await account.invite(validFor: .seconds(7 * 86_400)).uri
}

/// The same, for everybody and for ever: whoever scans it may ask.
func code(_ account: Account) throws -> String {
    try XMPPLink(address: account.address).written()
}
// end

// sample: a claimed namespace
/// Once, before the first `signIn`: `try await account.claim(chess, for: .messages)`.
let chess = "urn:example:chess:0"

/// A move has neither `<` nor `&` in it.
func play(_ move: String, against opponent: String, _ account: Account) async throws {
    try await account.sendPayload("<move xmlns='\(chess)'>\(move)</move>", to: opponent)
}

/// The moves so far, whenever there is another: the same in the same order on both sides.
func follow(_ opponent: String, _ account: Account, show: ([Payload]) -> Void) async throws {
    for try await event in account.events {
        guard case .newPayload(let move) = event, move.with == opponent else { continue }
        show(try await account.payloads(with: opponent, namespace: chess, limit: 500))
    }
}
// end

// sample: exporting
/// To a file that another device takes by `import(from:)`, before it signs in or after. It is not encrypted.
func export(_ account: Account, into directory: URL) async throws -> URL {
    let file = directory.appendingPathComponent("\(account.address).xml")
    try await account.export(to: file)
    return file
}
// end
