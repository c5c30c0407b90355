package im.whimbrel

import java.io.File
import java.net.InetAddress
import java.net.Socket
import java.nio.file.Files
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.io.TempDir

/** What a scenario plays on: `cargo xtask bindings kotlin` starts a Prosody 13 and a link to it, and says where they are. */
abstract class Scenario {
    @TempDir
    lateinit var directory: File

    private val clients = mutableListOf<Client>()

    @AfterEach
    fun closeAll() = runBlocking {
        clients.forEach { it.close() }
        clients.clear()
    }

    /** The limit is against hanging, nothing else. */
    fun play(limit: Duration = 180.seconds, scenario: suspend CoroutineScope.() -> Unit): Unit =
        runBlocking { withTimeout(limit) { scenario() } }

    /** A client on a directory of its own under ours, closed after the test. */
    suspend fun open(
        name: String,
        vault: KeyVault = FileVault("$directory/$name/keys"),
        options: Options = Options(),
    ): Client = Client.open("$directory/$name", vault, options).also { clients += it }

    /** A device with one account, not signed in yet. */
    suspend fun device(name: String, address: String, connection: Connection = direct()): Device {
        val client = open(name)
        return Device(client, client.addAccount(address, connection))
    }

    /** A device with an account that nobody else has, signed in and caught up. */
    suspend fun online(name: String, connection: Connection = direct()): Device =
        device(name, person(name), connection).also { it.signIn() }
}

class Device(val client: Client, val account: Account) {
    val address: String get() = account.address

    suspend fun signIn() {
        account.signIn(PASSWORD)
        account.sync(60.seconds)
    }
}

const val PASSWORD = "secret"

private val people = AtomicInteger()

/** Registers an account that no other test has, nor another run over the same server. */
suspend fun person(name: String): String {
    val local = newcomer(name)
    door("account $local")
    return "$local@a.test"
}

/** A name that nobody has yet. */
fun newcomer(name: String) = "$name-${ProcessHandle.current().pid()}-${people.incrementAndGet()}"

/** Asks for something at the stage's door. */
suspend fun door(command: String) = withContext(Dispatchers.IO) {
    Socket(InetAddress.getLoopbackAddress(), property("door").toInt()).use { socket ->
        socket.getOutputStream().write("$command\n".toByteArray())
        val answer = socket.getInputStream().bufferedReader().readLine()
        check(answer == "ok") { "$command: $answer" }
    }
}

/** Straight to the server. */
fun direct() = Connection(
    server = Server("127.0.0.1", property("port").toInt()),
    certificates = File(property("ca")).readText(),
)

/** Over the link, of which there is one. */
fun overLink() = Connection(
    server = Server("127.0.0.1", property("link").toInt(), directTls = true),
    certificates = File(property("ca")).readText(),
)

fun property(name: String): String =
    checkNotNull(System.getProperty("whimbrel.$name")) { "-Dwhimbrel.$name is not given: use cargo xtask bindings kotlin" }

/** Waits until the messages of a conversation are so. */
suspend fun Account.messages(with: String, so: (List<Message>) -> Boolean): List<Message> =
    timeline(with).items.map { it.filterIsInstance<Message>() }.first(so)

suspend fun Account.texts(with: String, count: Int): List<String> = messages(with) { it.size >= count }.map { it.text }

/** What happens from now on, as far as it is waited for. */
inline fun <reified E : Event> CoroutineScope.heard(account: Account, crossinline so: (E) -> Boolean = { true }): Deferred<E> =
    // It listens before this returns.
    async(start = CoroutineStart.UNDISPATCHED) { account.events.filterIsInstance<E>().first { so(it) } }

/** Both see each other's presence, and so may know what the other has received and seen. */
suspend fun befriend(one: Account, other: Account) {
    one.addContact(other.address)
    other.contacts.items.first { all -> all.any { it.address == one.address && it.asks } }
    other.acceptContact(one.address)
    other.addContact(one.address)
    one.contacts.items.first { all -> all.any { it.address == other.address && it.asks } }
    one.acceptContact(other.address)
    for ((mine, theirs) in listOf(one to other, other to one)) {
        mine.contacts.items.first { all ->
            all.any { it.address == theirs.address && it.subscription == Contact.Subscription.BOTH && it.available }
        }
    }
}

suspend inline fun <reified E : WhimbrelException> assertFails(crossinline call: suspend () -> Unit): E {
    val error = runCatching { call() }.exceptionOrNull()
    assertTrue(error is E, "not ${E::class.simpleName}, but $error")
    return error as E
}

/** What this process has open below a directory. */
fun openFiles(directory: File): List<String> {
    val below = directory.canonicalPath
    return File("/proc/self/fd").listFiles().orEmpty()
        // It may be closed by now, as that of the listing itself is.
        .mapNotNull { runCatching { Files.readSymbolicLink(it.toPath()).toString() }.getOrNull() }
        .filter { it.startsWith(below) }
}

/** A vault of the app's own, which can be locked and lose what it keeps. */
class MemoryVault : KeyVault {
    val entries = ConcurrentHashMap<String, ByteArray>()

    @Volatile
    var locked = false

    override fun load(name: String): ByteArray? {
        if (locked) throw WhimbrelException.Locked()
        return entries[name]
    }

    override fun store(name: String, bytes: ByteArray, scope: KeyVault.Scope) {
        entries[name] = bytes
    }

    override fun delete(name: String) {
        entries.remove(name)
    }
}
