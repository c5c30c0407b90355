import im.whimbrel.Account;
import im.whimbrel.Client;
import im.whimbrel.Connection;
import im.whimbrel.FileVault;
import im.whimbrel.Options;
import kotlin.coroutines.Continuation;
import kotlin.coroutines.EmptyCoroutineContext;
import kotlinx.coroutines.BuildersKt;

/** An app that has the packages and nothing else: `cargo xtask package` runs it with the jars alone on its class path. */
class Opens {
    public static void main(String[] arguments) throws Exception {
        String directory = arguments[0];
        FileVault vault = new FileVault(directory + "/keys");
        Client client = wait(then -> Client.Companion.open(directory, vault, new Options(), null, then));
        Account romeo = wait(then -> client.addAccount("romeo@montague.lit", new Connection(), then));
        String id = "6a7b2f38-0d6e-4f0f-9a57-6a1f3c1d2e4b";
        // Offline: it is durable, and waits to be sent.
        System.out.println("sent " + wait(then -> romeo.send("But soft", "juliet@capulet.lit", id, then)));
        wait(then -> client.close(then));
    }

    private interface Call {
        Object with(Continuation<Object> then);
    }

    @SuppressWarnings("unchecked")
    private static <T> T wait(Call call) throws InterruptedException {
        return (T) BuildersKt.runBlocking(EmptyCoroutineContext.INSTANCE, (scope, then) -> call.with((Continuation<Object>) then));
    }
}
