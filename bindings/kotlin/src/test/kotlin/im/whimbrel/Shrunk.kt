package im.whimbrel

import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking

/** A small app, which [ShrinkTest] has R8 shrink: something of each kind that crosses the boundary. */
fun main(arguments: Array<String>) = runBlocking {
    val (directory, address, to) = arguments
    // The library calls back into it.
    val client = Client.open(directory, MemoryVault())
    val account = client.addAccount(address, direct())
    try {
        account.signIn("not $PASSWORD")
    } catch (error: WhimbrelException.WrongPassword) {
        println(error.message)
    }
    account.signIn(PASSWORD)
    account.status.first { it == Status.Online }
    account.send("But soft, what light?", to)
    println(account.texts(to, 1).single())
    client.close()
    try {
        account.connect()
    } catch (error: WhimbrelException.Closed) {
        println(error.message)
    }
}
