package im.whimbrel

import com.sun.jna.Native
import im.whimbrel.ffi.Client as FfiClient
import im.whimbrel.ffi.Options as FfiOptions
import im.whimbrel.ffi.Commit
import im.whimbrel.ffi.keepUpdate
import im.whimbrel.ffi.lastCommit
import im.whimbrel.ffi.repeatUpdates
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext

private const val ROMEO = "romeo@montague.lit"
private const val JULIET = "juliet@capulet.lit"

/**
 * What `cargo xtask bench ffi` measures of Kotlin; what is measured, and why so, stands in tests/bench/src/ffi.rs. Its samples are
 * lines of JSON, in µs.
 */
fun main(arguments: Array<String>) = runBlocking {
    val (directory, samples) = arguments
    val vault = FileVault("$directory/keys")
    val client = Client.open(directory, vault)
    val account = client.addAccount(ROMEO)
    val timeline = account.timeline(JULIET)
    events(account, timeline, samples.toInt())
    println("""{"events":${events(account, timeline, samples.toInt())}}""")

    val newest = account.timeline(JULIET, limit = 1)
    repeatUpdates(true)
    println("""{"updates":${batches(500) { size -> newest.updates.take(size).collect {} }}}""")
    repeatUpdates(false)
    client.close()

    val generated = FfiClient.open(directory, vault.files, FfiOptions("Bench", false), resolver = null)
    keepUpdate(checkNotNull(generated.account(ROMEO)).timeline(JULIET, 1u, at = null).subscribe().next(0uL))
    generated.shutDown()
    val payload = ByteArray(4096)
    var bytes = 0L
    val calls = batches(10_000) { size -> repeat(size) { bytes = Plain.whimbrel_kept_update(payload, payload.size.toLong()) } }
    println("""{"calls":$calls}""")
    println("""{"bytes":$bytes}""")
}

/** From each commit to the collector on the main thread, as a screen's is. */
private suspend fun events(account: Account, timeline: Timeline, samples: Int): List<Double> = coroutineScope {
    val arrivals = Channel<Pair<Long, Commit>>(Channel.UNLIMITED)
    val listening = launch {
        timeline.updates.collect {
            val now = System.nanoTime()
            arrivals.send(now to lastCommit())
        }
    }
    // What was there before.
    arrivals.receive()
    val micros = withContext(Dispatchers.Default) {
        List(samples) {
            // Until the collector waits in the library again.
            delay(2.milliseconds)
            val (before, asked) = lastCommit().count to System.nanoTime()
            account.send("But soft, what light through yonder window breaks?", JULIET)
            val (at, commit) = arrivals.receive()
            // HotSpot's clock on Linux is CLOCK_MONOTONIC, as the library's.
            check(commit.at in asked..at || commit.count != before + 1u) { "another clock" }
            // Now and then the search index follows, in a commit of its own.
            if (commit.count == before + 1u) (at - commit.at) / 1e3 else null
        }.filterNotNull()
    }
    listening.cancel()
    micros
}

/** What one of [size] takes, batch by batch. */
private suspend fun batches(size: Int, work: suspend (Int) -> Unit): List<Double> {
    val count = 20
    // The first half warms up.
    return List(2 * count) {
        val began = System.nanoTime()
        work(size)
        (System.nanoTime() - began) / 1e3 / size
    }.takeLast(count)
}

/** The library by JNA's quickest way, and nothing of UniFFI. */
private object Plain {
    init {
        Native.register(Plain::class.java, "whimbrel_ffi")
    }

    @JvmStatic
    external fun whimbrel_kept_update(out: ByteArray, capacity: Long): Long
}
