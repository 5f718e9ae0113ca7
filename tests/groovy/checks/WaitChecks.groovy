package checks

import qpgaze.Fx
import qpgaze.WireFault

import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue

/** Work that is handed to another thread: here one of our own stands for that of JavaFX. */
class WaitChecks {

    private final LinkedBlockingQueue<Runnable> posted = new LinkedBlockingQueue<>()

    private static void apart(Runnable work) {
        def thread = new Thread(work)
        thread.setDaemon(true)
        thread.start()
    }

    void "its result and its error come back"() {
        assert Fx.awaited({ apart(it) }, { 7 }, 60_000) == 7
        try {
            Fx.awaited({ apart(it) }, { throw new IOException("full") }, 60_000)
            assert false
        } catch (IOException e) {
            assert e.message == "full"
        }
    }

    void "what has begun is waited for, however long it takes"() {
        def begun = new CountDownLatch(1)
        def work = {
            begun.countDown()
            sleep(300)
            return "saved"
        }
        // The wait begins once the work did, and is over long before it ends.
        assert Fx.awaited({ apart(it); begun.await() }, work, 1) == "saved"
    }

    void "what is not come to in time is given up, and not done later"() {
        def done = []
        try {
            Fx.awaited({ posted << it }, { done << 1 }, 50)
            assert false
        } catch (WireFault e) {
            assert e.code == "failed" && e.message.contains("busy")
        }
        posted.take().run()
        assert done == []
    }
}
