package im.whimbrel

import java.io.File
import org.jetbrains.kotlin.abi.tools.AbiFilters
import org.jetbrains.kotlin.abi.tools.AbiTools
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What apps can see changes only where somebody wants it to. */
class ApiTest {
    private val now = buildString {
        val classes = File("target/classes").walk().filter { it.extension == "class" }.sorted().toList()
        AbiTools.getInstance().printJvmDump(this, classes, AbiFilters.EMPTY)
    }

    @Test
    fun `the public API is the one that is written down`() {
        val renewed = File("target/api.txt").apply { writeText(now) }
        val written = File("../api.txt")
        assertTrue(written.exists() && written.readText() == now) {
            "api.txt says something else. If the change is meant: cp bindings/kotlin/jvm/$renewed bindings/kotlin/api.txt"
        }
    }

    @Test
    fun `nothing that is generated is in a signature`() {
        assertEquals(listOf<String>(), now.lines().filter { "im/whimbrel/ffi" in it })
        assertFalse(now.isBlank())
    }
}
