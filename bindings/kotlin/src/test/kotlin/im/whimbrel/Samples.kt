package im.whimbrel

import java.io.File
import java.io.FileNotFoundException
import javax.crypto.Cipher
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec
import kotlin.time.Duration.Companion.days
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.SharingStarted
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.catch
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.filter
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.stateIn
import kotlinx.coroutines.launch

// What README.md shows, word for word: SamplesTest compares the two, and runs most of it.

// sample: quick start
suspend fun quickStart(directory: String, vault: KeyVault, connection: Connection = Connection()) {
    val client = Client.open(directory, vault)
    val romeo = client.addAccount("romeo@a.test", connection)
    romeo.signIn("secret")

    romeo.send("But soft, what light?", to = "juliet@a.test")

    romeo.timeline(with = "juliet@a.test").items.collect { items ->
        val newest = items.lastOrNull() as? Message
        if (newest != null) println("${newest.from}: ${newest.text} (${newest.state})")
    }
}
// end

// sample: a screen
class Screen(private val account: Account, private val timeline: Timeline, private val scope: CoroutineScope) {
    /** While nobody looks, nothing is fetched. */
    val items: StateFlow<List<TimelineItem>> = timeline.items
        // After `close`, or where the file is damaged: the account's status says so.
        .catch { error -> if (error !is WhimbrelException) throw error }
        .stateIn(scope, SharingStarted.WhileSubscribed(5_000), emptyList())

    fun scrolledToTheTop() = scope.launch {
        try {
            timeline.older()
        } catch (_: WhimbrelException) {
            // What the file has is shown; the archive has to wait.
        }
    }

    fun seen() = scope.launch {
        try {
            account.markRead(timeline.with)
        } catch (_: WhimbrelException) {
            // Hidden by now, or the disk is full: the next look marks it.
        }
    }
}
// end

// sample: a new account
/** With what a link or a QR code says, such as `xmpp:montague.lit?register;preauth=TOKEN`. */
suspend fun join(client: Client, uri: String, name: String, connection: Connection = Connection()): Account {
    val link = XmppLink.parse(uri)
    val server = link.address ?: throw WhimbrelException.InvalidInput("the link names no server")
    val token = (link.action as? XmppLink.Action.Register)?.token
    return client.register(server, token, connection).use { registration ->
        // What else it wants to know is in `registration.form`, for a person.
        registration.submit(mapOf("username" to name, "password" to "secret"))
    }
}
// end

// sample: links
/** Somebody's link or QR code, once a person has said yes: it may come from anybody. */
suspend fun opened(link: XmppLink, account: Account) {
    val address = link.address ?: return
    when (val action = link.action) {
        is XmppLink.Action.Roster -> when (val token = action.token) {
            null -> account.addContact(address, action.name)
            else -> account.addInviter(address, token, action.name)
        }
        is XmppLink.Action.Message -> account.setDraft(Draft(action.body.orEmpty()), with = address)
        // Without an action: to talk to them. The rest is shown, at most.
        else -> Unit
    }
}

/** What another phone scans: whoever does it first is accepted without a question. */
suspend fun invitation(account: Account): String = account.invite(validFor = 7.days).uri

/** The same, for everybody and for ever: whoever scans it may ask. */
fun code(account: Account): String = XmppLink(account.address).written()
// end

// sample: a game
class Nim(private val account: Account, private val opponent: String) {
    /** Before the first sign-in, so that no move is missed. */
    suspend fun begin() = account.claim(NIM, ClaimKind.MESSAGES)

    /** On the disk when it returns. With the same id it is the same move, so that it can be repeated after a kill. */
    suspend fun take(sticks: Int, id: String) = account.sendPayload("<move xmlns='$NIM' sticks='$sticks'/>", opponent, id)

    /** All moves so far, theirs and ours, in their order; and again whenever there is another. */
    val moves: Flow<List<Payload>> = channelFlow {
        // It listens before it reads, so that no move falls in between.
        launch(start = CoroutineStart.UNDISPATCHED) {
            account.events.filter { it is Event.NewPayload && it.payload.namespace == NIM }.collect { send(Unit) }
        }
        send(Unit)
    }.map { account.payloads(opponent, NIM, limit = 500) }

    private companion object {
        const val NIM = "urn:example:nim"
    }
}
// end

// sample: to another device
/** The file is not encrypted: whoever has it reads all. */
suspend fun export(account: Account, directory: String): String {
    val file = "$directory/${account.address}.xml"
    account.exportTo(file)
    return file
}

/** On the new device, where it may be done before the first sign-in; and again, if it was killed meanwhile. */
suspend fun import(client: Client, address: String, file: String, connection: Connection = Connection()): Long {
    val account = client.addAccount(address, connection)
    return account.importFrom(file).added
}
// end

// sample: a vault
/** On Android with a key of the AndroidKeyStore, which never leaves it; in `noBackupFilesDir`. */
class EncryptedVault(private val directory: File, private val key: SecretKey) : KeyVault {
    override fun load(name: String): ByteArray? {
        val sealed = try { File(directory, name).readBytes() } catch (_: FileNotFoundException) { return null }
        val cipher = Cipher.getInstance("AES/GCM/NoPadding")
        cipher.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(128, sealed, 0, 12))
        return cipher.doFinal(sealed, 12, sealed.size - 12)
    }

    override fun store(name: String, bytes: ByteArray, scope: KeyVault.Scope) {
        val cipher = Cipher.getInstance("AES/GCM/NoPadding")
        cipher.init(Cipher.ENCRYPT_MODE, key)
        val new = File(directory, "$name.new")
        new.outputStream().use { it.write(cipher.iv + cipher.doFinal(bytes)); it.fd.sync() }
        check(new.renameTo(File(directory, name)))
    }

    override fun delete(name: String) {
        File(directory, name).delete()
    }
}
// end

// sample: what the platform calls
interface Notifications {
    fun show(id: String, title: String, text: String)
    fun cancel(id: String)
    fun badge(unread: Long)
}

class Life(private val client: Client, private val notifications: Notifications) {
    private var wasShown = false

    /** `Application.onCreate`, once the client is open. It may be for a push: nobody looks yet, and nothing connects. */
    fun started() = client.setForeground(false)

    /**
     * `ProcessLifecycleOwner`: `onStart`. `resume` connects what was connected before; a process begins with nothing connected. What is
     * wrong with one account is in its `status`, and the others connect.
     */
    suspend fun shown() {
        client.setForeground(true)
        try { client.resume() } catch (_: WhimbrelException) {}
        if (!wasShown) {
            for (account in client.accounts) {
                try { account.connect() } catch (_: WhimbrelException) {}
            }
        }
        wasShown = true
    }

    /** `onStop`. With a foreground service that keeps the connection: `setForeground` alone. */
    suspend fun hidden() {
        client.setForeground(false)
        client.suspend(within = 5.seconds)
    }

    /**
     * `doWork` of an expedited `CoroutineWorker`, which an FCM service or a UnifiedPush receiver has enqueued. `false`: `Result.retry()`.
     */
    suspend fun pushed(address: String): Boolean {
        val news = try {
            client.wakeUp(address, within = 20.seconds)
        } catch (error: WhimbrelException) {
            // The account is gone; or the app was opened and left meanwhile, the device is locked, the disk full.
            return error is WhimbrelException.NotFound
        }
        news.withdraw.forEach(notifications::cancel)
        news.notify.forEach { notifications.show(it.id, title = it.with, text = it.text) }
        notifications.badge(news.unread)
        return news.complete
    }

    /**
     * `onCapabilitiesChanged` and `onLinkPropertiesChanged` of a default network's callback, put together. The name is the Wi-Fi's or
     * the operator's, if the app may know it; a `Network`'s handle is another each time.
     */
    fun connected(name: String?, wifi: Boolean, metered: Boolean, dns: List<String>) = client.networkChanged(
        Network(if (wifi) Network.Kind.WIFI else Network.Kind.CELLULAR, id = name, metered = metered, dns = dns),
    )

    /** `onLost`. */
    fun disconnected() = client.networkChanged(Network(Network.Kind.UNKNOWN, available = false))
}
// end
