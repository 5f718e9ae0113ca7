package qpgaze

import groovy.transform.CompileStatic
import javafx.application.Platform

import java.util.concurrent.Callable
import java.util.concurrent.ExecutionException
import java.util.concurrent.FutureTask
import java.util.concurrent.TimeUnit
import java.util.concurrent.TimeoutException
import java.util.concurrent.atomic.AtomicBoolean
import java.util.function.Consumer

/** Work on the JavaFX thread, asked for from another. */
@CompileStatic
final class Fx {

    private static final int WAIT_S = 20

    private Fx() {}

    /** Do it there and wait for the result; a WireFault where QuPath does not come to it. */
    static <T> T call(Callable<T> work) {
        if (Platform.isFxApplicationThread())
            return work.call()
        return awaited({ Platform.runLater(it) } as Consumer<Runnable>, work, WAIT_S * 1000L)
    }

    /** The same, however long QuPath is at something else, as it may be at its start; for a thread nobody waits for. */
    static <T> T callPatiently(Callable<T> work) {
        if (Platform.isFxApplicationThread())
            return work.call()
        return awaited({ Platform.runLater(it) } as Consumer<Runnable>, work, Long.MAX_VALUE)
    }

    /**
     * The same on whatever thread `post` hands it to. Only what has not begun in time is given up: what has,
     * such as the saving of a large image, is waited for, so that nobody is told the contrary of what is done.
     */
    static <T> T awaited(Consumer<Runnable> post, Callable<T> work, long waitMs) {
        def taken = new AtomicBoolean()
        def task = new FutureTask<T>(work)
        post.accept({
            if (taken.compareAndSet(false, true))
                task.run()
        } as Runnable)
        try {
            try {
                return task.get(waitMs, TimeUnit.MILLISECONDS)
            } catch (TimeoutException e) {
                if (taken.compareAndSet(false, true))
                    throw new WireFault("failed", "QuPath was busy for ${waitMs.intdiv(1000)} s.")
                return task.get()
            }
        } catch (ExecutionException e) {
            throw e.cause
        }
    }

    /** Do it there some time; an error is said in the log and disturbs nobody. */
    static void later(String what, Closure<?> work) {
        if (Platform.isFxApplicationThread())
            Troubles.attempt(what, work)
        else
            Platform.runLater { Troubles.attempt(what, work) }
    }
}
