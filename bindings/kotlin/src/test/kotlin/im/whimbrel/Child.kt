package im.whimbrel

import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking

/** Another process of the same app: this test's own classes in a JVM of its own. */
class Child(vararg arguments: String) : AutoCloseable {
    private val process = ProcessBuilder(
        listOf("${System.getProperty("java.home")}/bin/java", "-Xmx64m", "-cp", System.getProperty("java.class.path")) +
            listOf("jna.library.path", "whimbrel.port", "whimbrel.ca").map { "-D$it=${System.getProperty(it)}" } +
            "im.whimbrel.ChildKt" + arguments,
    ).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val lines = process.inputStream.bufferedReader()

    /** What it says next, or `null` where it has ended. */
    fun line(): String? = lines.readLine()

    /** With SIGKILL. */
    override fun close() {
        process.destroyForcibly().waitFor()
    }
}

fun main(arguments: Array<String>) = runBlocking {
    val (task, directory, address) = arguments
    val extension = task == "wake"
    val client = Client.open(directory, FileVault("$directory/keys"), Options(extension = extension))
    when (task) {
        "send" -> {
            val (to, text) = arguments.drop(3)
            val account = client.addAccount(address, direct())
            account.signIn(PASSWORD)
            println("sent ${account.send(text, to)}")
            account.sync(60.seconds)
            println("synced")
            awaitCancellation()
        }

        "return" -> {
            val with = arguments[3]
            val account = checkNotNull(client.account(address))
            // Before it connects.
            val online = async(start = CoroutineStart.UNDISPATCHED) { account.events.filterIsInstance<Event.Online>().first() }
            account.connect()
            println("resumed ${online.await().resumed}")
            account.sync(60.seconds)
            account.texts(with, 1).forEach(::println)
        }

        "wake" -> try {
            val news = client.wakeUp(address, 60.seconds)
            println("complete ${news.complete}")
            news.notify.forEach { println(it.text) }
        } catch (_: WhimbrelException.InUse) {
            println("in use")
        }

        else -> error("no such task: $task")
    }
    client.close()
}
