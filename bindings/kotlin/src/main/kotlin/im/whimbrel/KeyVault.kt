package im.whimbrel

import im.whimbrel.ffi.KeyVault as FfiKeyVault
import im.whimbrel.ffi.Scope as FfiScope

/**
 * Keeps small secrets for the library, for example in the platform's keystore: each account's database has its key here.
 *
 * Called on threads that may block. What an implementation throws besides [WhimbrelException] arrives at the app's own call as
 * [WhimbrelException.Bug].
 */
public interface KeyVault {
    /** What is kept under a name, or `null`. Throws [WhimbrelException.Locked] while the device has not been unlocked. */
    public fun load(name: String): ByteArray?

    /** Keeps bytes under a name. Throws [WhimbrelException.Locked] or [WhimbrelException.StorageFull]. */
    public fun store(name: String, bytes: ByteArray, scope: Scope)

    /** Forgets a name; one that is not there is fine. */
    public fun delete(name: String)

    /** How far an entry may travel. */
    public enum class Scope {
        /** Stays on this device. */
        THIS_DEVICE_ONLY,

        /** May travel with a backup, if the app chooses. */
        WITH_BACKUPS,
    }
}

/**
 * A vault of files with mode 0600 in a directory, made if it is not there. For desktops and tests: as safe as the disk.
 *
 * Fails with [WhimbrelException.InvalidInput] where the directory cannot be made.
 */
public class FileVault(directory: String) : KeyVault {
    internal val files: FfiKeyVault = answered { im.whimbrel.ffi.fileVault(directory) }

    override fun load(name: String): ByteArray? = answered { files.load(name) }

    override fun store(name: String, bytes: ByteArray, scope: KeyVault.Scope): Unit =
        answered { files.store(name, bytes, scope.toFfi()) }

    override fun delete(name: String): Unit = answered { files.delete(name) }
}

/** The app's vault, as the library wants it. */
internal fun KeyVault.toFfi(): FfiKeyVault = if (this is FileVault) files else Bridge(this)

private class Bridge(private val vault: KeyVault) : FfiKeyVault {
    override fun load(name: String): ByteArray? = told(WHAT) { vault.load(name) }

    override fun store(name: String, bytes: ByteArray, scope: FfiScope) =
        told(WHAT) { vault.store(name, bytes, scope.toFace()) }

    override fun delete(name: String) = told(WHAT) { vault.delete(name) }

    private companion object {
        const val WHAT = "key vault"
    }
}
