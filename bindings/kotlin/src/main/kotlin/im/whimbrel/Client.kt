package im.whimbrel

import im.whimbrel.ffi.Client as FfiClient
import kotlin.time.Duration
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/**
 * All accounts of one data directory.
 *
 * One of them serves a whole app and lives as long as its process. Every suspending call may be made on the main thread, waits
 * without blocking it, and can be cancelled; what was taken on by then is carried out all the same. All calls fail with a
 * [WhimbrelException].
 */
public class Client private constructor(private val client: FfiClient) {
    public companion object {
        /**
         * Opens a data directory, made if it is not there, and the accounts in it. None of them connects by itself.
         *
         * An account that cannot be opened is there all the same, and answers with the reason: [WhimbrelException.KeyLost],
         * [WhimbrelException.Locked], [WhimbrelException.DatabaseUnusable], and [WhimbrelException.InUse] where this is an extension
         * and the app is in charge. Fails with [WhimbrelException.StorageFull] or [WhimbrelException.DatabaseUnusable] where the
         * directory itself cannot be used, and with [WhimbrelException.Locked] where the device was not unlocked since its start and
         * nothing in it can be read yet.
         *
         * @param directory one that no other app reads and that no backup takes along without the vault
         * @param vault keeps the keys of the databases
         * @param resolver looks up servers by the platform's own means; `null`: the servers for names are asked that
         *   [networkChanged] told, or the system's own
         */
        public suspend fun open(
            directory: String,
            vault: KeyVault,
            options: Options = Options(),
            resolver: Resolver? = null,
        ): Client =
            // The first call loads the native library.
            withContext(Dispatchers.IO) {
                Client(call { FfiClient.open(directory, vault.toFfi(), options.toFfi(), resolver?.toFfi()) })
            }

        /**
         * Hands what the library says for a log to this sink, up to this level, in place of the one before it. There is one for the
         * process. Loads the native library, as the first [open] does.
         */
        public suspend fun logTo(sink: LogSink, most: LogLevel = LogLevel.INFO): Unit =
            withContext(Dispatchers.IO) { answered { im.whimbrel.ffi.logTo(sink.toFfi(), most.toFfi()) } }

        /** Keeps the last lines that the library says for a log, for [logBundle]. [logTo] does that as well. */
        public suspend fun keepLog(): Unit = withContext(Dispatchers.IO) { answered { im.whimbrel.ffi.keepLog() } }
    }

    /** All accounts, by address. */
    public val accounts: List<Account>
        get() = answered { client.addresses().mapNotNull(client::account) }.map(::Account)

    /** One of the accounts, or `null`. Fails with [WhimbrelException.InvalidInput] for what is no address. */
    public fun account(address: String): Account? = answered { client.account(address) }?.let(::Account)

    /**
     * Adds an account, or changes how an existing one connects. It does not connect yet: see [Account.signIn].
     *
     * Fails with [WhimbrelException.KeyLost] where there is a file and no secret for it, [WhimbrelException.Locked],
     * [WhimbrelException.StorageFull], [WhimbrelException.DatabaseUnusable], and [WhimbrelException.InvalidInput] for what is not an
     * account's address.
     */
    public suspend fun addAccount(address: String, connection: Connection = Connection()): Account =
        Account(call { client.addAccount(address, connection.toFfi()) })

    /**
     * Asks a server for a new account (XEP-0077). It connects as [connection] says, and so does the account then.
     *
     * Fails with [WhimbrelException.Offline], [WhimbrelException.TimedOut], [WhimbrelException.NotFound] where there is no such host,
     * [WhimbrelException.Untrusted], and [WhimbrelException.ServerRefused] where it registers nobody, or the invitation counts no more
     * (`item-not-found`).
     *
     * @param address the server's, or the new account's where it has a name already
     * @param token that of an invitation (XEP-0445), as an [XmppLink] has it
     */
    public suspend fun register(address: String, token: String? = null, connection: Connection = Connection()): Registration =
        Registration(call { client.register(address, token, connection.toFfi()) })

    /**
     * Looks for messages in all accounts, the newest first, up to [limit] of them, 1 to 500; fewer are the last. An account that cannot
     * be read has no hits.
     *
     * @param before the last of the page before this one
     */
    public suspend fun search(search: Search, limit: Int = 50, before: FoundIn? = null): List<FoundIn> =
        call { client.search(search.toFfi(), before?.toPlace(), limit.toCount()) }.map { it.toFace() }

    /**
     * Signs out and deletes everything of this account from the device. Unsent messages are lost. Fails with
     * [WhimbrelException.NotFound], and with [WhimbrelException.DatabaseUnusable] where files cannot be deleted; then it can be
     * called again. When it is cancelled it goes on to its end.
     */
    public suspend fun removeAccount(address: String): Unit = call { client.removeAccount(address) }

    /**
     * Deletes the account on its server (XEP-0077 §3.2), with all that the server has of it, and then as [removeAccount]. It has to be
     * online. Fails with [WhimbrelException.Offline], [WhimbrelException.TimedOut] or [WhimbrelException.ServerRefused], and then
     * nothing was deleted here; where the link was lost before the server's answer the account may be gone there.
     */
    public suspend fun deleteAccount(address: String): Unit = call { client.deleteAccount(address) }

    /**
     * After [WhimbrelException.KeyLost] or a damaged file: sets the file aside (it is never deleted) and begins anew with an empty
     * one. Then [Account.signIn]. How it connects was in the file: a [Connection] other than the default is to be given again, with
     * [addAccount]. The old [Account], and what follows it, answers [WhimbrelException.Closed]. Fails with
     * [WhimbrelException.NotFound], and as [addAccount].
     */
    public suspend fun startOver(address: String): Account = Account(call { client.startOver(address) })

    /**
     * Stops all accounts and closes every file, within this time as far as the peers allow. Sessions stay on their servers. Calls
     * answer [WhimbrelException.Suspended] until [resume], and flows wait. Doing it twice is harmless.
     */
    public suspend fun suspend(within: Duration): Unit = call { client.suspend(within.toFfi()) }

    /**
     * Opens the files again and connects the accounts that were connected. Fails with the first account's reason; the others go on.
     */
    public suspend fun resume(): Unit = call { client.resume() }

    /**
     * A push has come for this account, an address. It does not say by itself for which: each account gives its app server a node of its
     * own ([Account.setPush]), and that hands it on. Opens it if it is suspended or the process has just begun, resumes its session
     * or connects, and catches up as far as the time allows: [within] is for all of it. Says what to show, and leaves the account
     * suspended, unless it was running or the app has resumed or connected it meanwhile. One that the app has disconnected
     * stays offline. What is told once is not told again.
     *
     * Works while the client is suspended. Fails with [WhimbrelException.NotFound]; with [WhimbrelException.InUse] where this is an
     * extension and the app is in charge, which does it itself; with [WhimbrelException.KeyLost], [WhimbrelException.Locked],
     * [WhimbrelException.StorageFull] or [WhimbrelException.DatabaseUnusable]; with [WhimbrelException.Suspended] where the app
     * suspends it meanwhile: the next push tells what this one did not. No connection, or no answer in time, is not a failure,
     * but not [WakeUp.complete]. When it is cancelled the account is suspended as well, and the next push tells; a time limit around it
     * is longer than [within], so that nothing is told to nobody in its last moment.
     */
    public suspend fun wakeUp(account: String, within: Duration): WakeUp =
        call { client.wakeUp(account, within.toFfi(), null) }.toFace()

    /**
     * The platform says that the network changed, came back, or is gone. To be called whenever it does, and once after the start.
     * Fails with [WhimbrelException.InvalidInput] where a server for names is not given by its address.
     */
    public fun networkChanged(network: Network): Unit = answered { client.networkChanged(network.toFfi()) }

    /**
     * The device was asleep, or the process frozen, and goes on: links that died meanwhile are found out soon. What shows by the
     * clocks is noticed without this.
     */
    public fun woke(): Unit = answered { client.woke() }

    /** The app is in front of its user, or no longer (XEP-0352). It is until told otherwise: a process for a push says `false` first. */
    public fun setForeground(foreground: Boolean): Unit = answered { client.setForeground(foreground) }

    /**
     * A text for a developer: versions, states and counts of all accounts, and the last lines of the log, if [keepLog] or [logTo] was
     * called. It has no content, no keys and no addresses.
     */
    public suspend fun logBundle(): String = call { client.logBundle() }

    /** The system wants memory back (`onTrimMemory`): what can be had again from the files is let go of. */
    public fun lowMemory(): Unit = answered { client.lowMemory() }

    /** Like [suspend], for good: calls and flows answer [WhimbrelException.Closed]. */
    public suspend fun close(): Unit = call { client.shutDown() }
}

/**
 * What the app decides about all of its accounts.
 *
 * @property software the name of the software, told to the server and to contacts (XEP-0092, XEP-0388)
 * @property extension this process is a helper of the app, not the app: it takes an account only if the app has suspended it, is
 *   gone, or says nothing for a second because the system has stopped it. Otherwise the account answers [WhimbrelException.InUse].
 */
public data class Options(val software: String = "Whimbrel", val extension: Boolean = false)

/**
 * How an account connects. The default finds everything by the account's domain.
 *
 * @property server a server given by hand, for intranets and tests: nothing is looked up
 * @property proxy `host:port` of a SOCKS5 proxy. Names are resolved by the proxy.
 * @property certificates certificates to trust besides the platform's, as PEM. Not looked at on Android
 * @property keys the only keys that the server may have, as SHA-256 of the public key in its certificate in hexadecimal. Where there
 *   are any, nothing else is trusted, and nothing else in a certificate is looked at.
 * @property resource what the user calls this device; part of the full address
 * @property allowPlain allows a server that knows nothing better to see the password itself, over verified TLS (RFC 4616)
 */
public data class Connection(
    val server: Server? = null,
    val proxy: String? = null,
    val certificates: String? = null,
    val keys: List<String> = emptyList(),
    val resource: String? = null,
    val allowPlain: Boolean = false,
)

/**
 * A server given by hand.
 *
 * @property host name or address
 * @property port TCP port, 0 to 65535
 * @property directTls TLS from the first byte (XEP-0368), and not by STARTTLS
 */
public data class Server(val host: String, val port: Int, val directTls: Boolean = false)

/**
 * What the platform says of the network.
 *
 * @property kind what kind
 * @property id which one, by a name that is the same whenever the device is in it; compared, and never looked into. What was learned
 *   of a network is remembered by this; without it, by the kind.
 * @property available whether there is any
 * @property metered whether its bytes cost money
 * @property dns the addresses of its servers for names, where the platform tells; else the system's own are asked
 */
public data class Network(
    val kind: Kind,
    val id: String? = null,
    val available: Boolean = true,
    val metered: Boolean = false,
    val dns: List<String> = emptyList(),
) {
    /** What kind of network. */
    public enum class Kind {
        /** The platform does not say. */
        UNKNOWN,

        /** Wireless LAN. */
        WIFI,

        /** Mobile. */
        CELLULAR,

        /** By wire. */
        WIRED,
    }
}

/**
 * What a push has brought.
 *
 * @property notify messages to notify of, oldest first, the newest 200 at most. Of a text or a quotation of more than 4 KiB the beginning,
 *   with "…" behind it; of links the first; no previews
 * @property withdraw the ids of messages whose notifications are to be taken back: they were read, perhaps on another device, or their
 *   sender took them back
 * @property unread messages of the account that were not read: its part of the badge
 * @property complete whether that was everything that the server had
 */
public data class WakeUp(
    val notify: List<Message>,
    val withdraw: List<String>,
    val unread: Long,
    val complete: Boolean,
)
