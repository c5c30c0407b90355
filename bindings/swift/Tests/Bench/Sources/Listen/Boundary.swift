// What the face hides.
import WhimbrelFFI

/// Has the library keep what the newest message of a conversation is when it crosses the boundary.
func keepUpdate(in directory: String, of address: String, with other: String) async throws {
    let vault = try fileVault(directory: "\(directory)/keys")
    let client = try await Client.open(
        directory: directory, vault: vault, options: Options(software: "Bench", extension: false), resolver: nil)
    guard let account = try client.account(jid: address) else { fatalError("no account") }
    try keepUpdate(update: await account.timeline(with: other, limit: 1, at: nil).subscribe().next(after: 0))
    try await client.shutDown()
}
