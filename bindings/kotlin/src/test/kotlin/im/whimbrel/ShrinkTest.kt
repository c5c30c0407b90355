package im.whimbrel

import java.io.File
import java.io.PrintWriter
import java.util.spi.ToolProvider
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** An app that R8 has shrunk and renamed with nothing but the rules that our own jar brings along. */
class ShrinkTest : Scenario() {
    private val classpath = System.getProperty("java.class.path").split(File.pathSeparator).map(::File)

    @Test
    fun `an app that was shrunk works`() = play(limit = 600.seconds) {
        val (alice, bob) = person("alice") to person("bob")
        withContext(Dispatchers.IO) {
            val shrunk = shrunk()
            assertTrue(shrunk.length() > 0)
            val app = java("-Xmx64m", "-cp", "$shrunk", "im.whimbrel.ShrunkKt", "$directory/alice", alice, bob)
            assertEquals(listOf("wrong password", "But soft, what light?", "closed"), app)
        }
    }

    private fun shrunk(): File {
        val (directories, jars) = classpath.filter { it.exists() }.partition { it.isDirectory }
        val tests = directories.single { File(it, "im/whimbrel/ShrunkKt.class").exists() }
        val app = File(tests, "im/whimbrel").list().orEmpty()
            .filter { name -> listOf("Shrunk", "Stage", "MemoryVault").any { name.startsWith(it) } }
            .flatMap { listOf("-C", "$tests", "im/whimbrel/$it") }
        val ours = (directories - tests).mapIndexed { at, classes -> jar("ours-$at", "-C", "$classes", ".") }
        // In a build of both what is generated is a directory, too.
        val needed = listOf("whimbrel-ffi", "kotlin-stdlib", "kotlinx-coroutines-core", "jna-")
        val libraries = jars.filter { jar -> needed.any { jar.name.startsWith(it) } }
        val brought = checkNotNull(javaClass.classLoader.getResource("META-INF/proguard/whimbrel-ffi.pro")).readText()
        val rules = File(directory, "rules.pro").apply {
            writeText(
                brought + """
                -keep class im.whimbrel.ShrunkKt { public static void main(java.lang.String[]); }
                -dontwarn org.jetbrains.annotations.**
                -dontwarn org.junit.**
                """.trimIndent(),
            )
        }
        val r8 = jars.single { it.name.startsWith("r8-") }
        val shrunk = File(directory, "shrunk.jar")
        val input = (ours + jar("app", *app.toTypedArray()) + libraries).map { it.path }
        java(
            "-Xmx1g", "-cp", r8.path, "com.android.tools.r8.R8", "--classfile", "--release",
            "--lib", System.getProperty("java.home"), "--pg-conf", rules.path,
            "--output", shrunk.path, *input.toTypedArray(),
        )
        return shrunk
    }

    private fun jar(name: String, vararg files: String): File {
        val jar = File(directory, "$name.jar")
        val said = PrintWriter(System.err, true)
        assertEquals(0, ToolProvider.findFirst("jar").get().run(said, said, "cf", jar.path, *files))
        return jar
    }

    /** What it says. */
    private fun java(vararg arguments: String): List<String> {
        val given = listOf("jna.library.path", "whimbrel.port", "whimbrel.ca").map { "-D$it=${System.getProperty(it)}" }
        val process = ProcessBuilder(listOf("${System.getProperty("java.home")}/bin/java") + given + arguments)
            .redirectError(ProcessBuilder.Redirect.INHERIT).start()
        try {
            val said = process.inputStream.bufferedReader().readLines()
            assertEquals(0, process.waitFor(), said.joinToString("\n"))
            return said
        } finally {
            process.destroyForcibly()
        }
    }
}
