package qpgaze

import groovy.transform.CompileStatic
import javafx.application.Platform

import java.util.concurrent.Callable
import java.util.concurrent.ExecutionException
import java.util.concurrent.FutureTask
import java.util.concurrent.TimeUnit
import java.util.concurrent.TimeoutException

/** Work on the JavaFX thread, asked for from another. */
@CompileStatic
final class Fx {

    private static final int WAIT_S = 20

    private Fx() {}

    /** Do it there and wait for the result; a WireFault where QuPath does not come to it. */
    static <T> T call(Callable<T> work) {
        if (Platform.isFxApplicationThread())
            return work.call()
        def task = new FutureTask<T>(work)
        Platform.runLater(task)
        try {
            return task.get(WAIT_S, TimeUnit.SECONDS)
        } catch (ExecutionException e) {
            throw e.cause
        } catch (TimeoutException e) {
            task.cancel(false)
            throw new WireFault("failed", "QuPath was busy for ${WAIT_S} s.")
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
