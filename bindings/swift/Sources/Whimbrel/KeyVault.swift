import Foundation
internal import WhimbrelFFI

/// Keeps small secrets, for example in the platform's keychain: the keys of the encrypted databases.
///
/// Called on threads that may block. On iOS use `kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly`, and an access group where an
/// extension opens the same directory.
///
/// What is thrown that is no ``WhimbrelError`` arrives at whoever called as ``WhimbrelError/bug(report:)``.
public protocol KeyVault: AnyObject, Sendable {
    /// What is kept under a name, or nothing.
    ///
    /// Throws ``WhimbrelError/locked`` while the device has not been unlocked.
    func load(_ name: String) throws -> Data?

    /// Keeps bytes under a name, in place of what was there.
    ///
    /// Throws ``WhimbrelError/locked`` or ``WhimbrelError/storageFull``.
    func store(_ bytes: Data, as name: String, scope: KeyScope) throws

    /// Forgets a name; one that is not there is fine.
    func delete(_ name: String) throws
}

/// How far an entry of a ``KeyVault`` may travel.
public enum KeyScope: Sendable, Equatable {
    /// Stays on this device.
    case thisDeviceOnly
    /// May travel with a backup, if the app chooses.
    case withBackups
}

/// A vault of files with mode 0600 in a directory. For desktops and tests: as safe as the disk.
public final class FileVault: KeyVault {
    private let vault: any WhimbrelFFI.KeyVault

    /// The directory is made if it is not there.
    ///
    /// Throws ``WhimbrelError/invalidInput(what:)`` where it cannot be.
    public init(directory: URL) throws {
        vault = try immediately { try fileVault(directory: directory.path) }
    }

    public func load(_ name: String) throws -> Data? {
        try immediately { try vault.load(name: name) }
    }

    public func store(_ bytes: Data, as name: String, scope: KeyScope) throws {
        let scope: WhimbrelFFI.Scope =
            switch scope {
            case .thisDeviceOnly: .thisDeviceOnly
            case .withBackups: .withBackups
            }
        try immediately { try vault.store(name: name, bytes: bytes, scope: scope) }
    }

    public func delete(_ name: String) throws {
        try immediately { try vault.delete(name: name) }
    }
}

/// The app's vault, as the boundary wants it.
final class BridgedVault: WhimbrelFFI.KeyVault {
    private let vault: any KeyVault

    init(_ vault: any KeyVault) {
        self.vault = vault
    }

    func load(name: String) throws -> Data? {
        try told(by: "key vault") { try vault.load(name) }
    }

    func store(name: String, bytes: Data, scope: WhimbrelFFI.Scope) throws {
        let scope: KeyScope =
            switch scope {
            case .thisDeviceOnly: .thisDeviceOnly
            case .withBackups: .withBackups
            }
        try told(by: "key vault") { try vault.store(bytes, as: name, scope: scope) }
    }

    func delete(name: String) throws {
        try told(by: "key vault") { try vault.delete(name) }
    }
}
