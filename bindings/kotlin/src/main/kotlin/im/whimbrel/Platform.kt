package im.whimbrel

import im.whimbrel.ffi.LogLevel as FfiLogLevel
import im.whimbrel.ffi.LogSink as FfiLogSink
import im.whimbrel.ffi.Resolver as FfiResolver
import im.whimbrel.ffi.Srv as FfiSrv

/** Takes what the library says for a log: see [Client.logTo]. No content and no credentials at any level. */
public fun interface LogSink {
    /**
     * One line. Called on a thread that has nothing else to do, one line at a time: it may block. What it throws is dropped, and the
     * line with it.
     *
     * @param target the part of the library that says it, such as `whimbrel_engine::turn`
     */
    public fun log(level: LogLevel, target: String, text: String)
}

/** How much a line of the log matters. */
public enum class LogLevel {
    /** A mistake of the library, which its authors want to hear about. */
    ERROR,

    /** Something that should not be, of the device or a server. */
    WARN,

    /** What happens: online, offline. */
    INFO,

    /** Whose account, which server, and why. Addresses are said here and nowhere else. */
    DEBUG,
}

/** Looks up SRV records (RFC 2782) by the platform's own means, as `android.net.DnsResolver`: see [Client.open]. */
public fun interface Resolver {
    /**
     * The records of a name such as `_xmpp-client._tcp.example.org`, in any order; none where there are none. What fails is no
     * proof that there are none: what was found before is tried, or else the domain itself. Called on threads that may block, and waited for five seconds at most.
     */
    public fun srv(name: String): List<Srv>
}

/**
 * An SRV record.
 *
 * @property priority lower ones come first
 * @property weight among equals, how often one is the first
 * @property port TCP port
 * @property target the host; `.` says that there is no such service
 */
public data class Srv(val priority: Int, val weight: Int, val port: Int, val target: String)

internal fun LogSink.toFfi(): FfiLogSink = object : FfiLogSink {
    override fun log(level: FfiLogLevel, target: String, text: String) =
        told("log") { this@toFfi.log(level.toFace(), target, text) }
}

internal fun Resolver.toFfi(): FfiResolver = object : FfiResolver {
    override fun srv(name: String): List<FfiSrv> = told("resolver") { this@toFfi.srv(name).map { it.toFfi() } }
}
