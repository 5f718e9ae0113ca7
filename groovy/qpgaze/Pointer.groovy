package qpgaze

import groovy.transform.CompileStatic
import javafx.event.EventHandler
import javafx.scene.Scene
import javafx.scene.input.MouseEvent
import javafx.scene.robot.Robot
import javafx.stage.Modality
import javafx.stage.Stage
import javafx.stage.Window

/**
 * Where the mouse is on the screen, by what QuPath's own windows are told of it, a drag out of them included.
 *
 * Java's robot asks the system twice for each answer, and QuPath's window waits for it: it is asked a few
 * times a second while no window of QuPath has the mouse, else once, should a window have been told nothing.
 * On the JavaFX thread only.
 */
@CompileStatic
final class Pointer implements EventHandler<MouseEvent> {

    private static final long ASK_NS = 100_000_000L
    private static final long CHECK_NS = 1_000_000_000L

    private final Set<Window> windows = Collections.newSetFromMap(new IdentityHashMap<Window, Boolean>())
    private Robot robot
    private boolean robotWorks = true
    /** The window that has the mouse and says of each of its moves. */
    private Window teller
    /** A dialog keeps its moves from all other windows. */
    private boolean blocked = false
    private long askedNs
    private boolean known = false
    private double x
    private double y

    /** Listen to every window that is open; once a pulse. */
    void pulse() {
        List<Window> open = Window.getWindows()
        blocked = open.size() > 1 && open.any { Window one -> keepsAll(one) && !one.is(teller) }
        if (windows.size() == open.size() && windows.containsAll(open))
            return
        for (Window gone : windows.findAll { Window one -> !open.contains(one) }) {
            windows.remove(gone)
            if (gone.is(teller))
                forget()
            gone.removeEventFilter(MouseEvent.ANY, this)
        }
        for (Window window : open)
            if (windows.add(window))
                window.addEventFilter(MouseEvent.ANY, this)
    }

    private static boolean keepsAll(Window window) {
        return window instanceof Stage && ((Stage) window).getModality() != Modality.NONE
    }

    @Override
    void handle(MouseEvent event) {
        Window window = (Window) event.getSource()
        if (blocked && !keepsAll(window))
            return // JavaFX repeats to a window the last that it was told before the dialog came
        def type = event.getEventType()
        boolean left = type == MouseEvent.MOUSE_EXITED || type == MouseEvent.MOUSE_EXITED_TARGET
        if (left && event.getTarget() instanceof Scene) {
            forget()
            return
        }
        known = true
        teller = window
        x = event.getScreenX()
        y = event.getScreenY()
    }

    private void forget() {
        teller = null
        known = false
        askedNs = System.nanoTime() - ASK_NS
    }

    /** Its place in logical pixels of the desktop; null where nobody knows. */
    double[] place() {
        long wait = teller == null || blocked ? ASK_NS : CHECK_NS
        if (robotWorks && System.nanoTime() - askedNs >= wait)
            ask()
        return known ? [x, y] as double[] : null
    }

    private void ask() {
        askedNs = System.nanoTime()
        try {
            if (robot == null)
                robot = new Robot()
            def mouse = robot.getMousePosition()
            x = mouse.getX()
            y = mouse.getY()
            known = true
        } catch (RuntimeException | Error e) {
            robotWorks = false
            Troubles.once("cursor", "the system does not say where the mouse is: ${e}")
        }
    }

    /** Leave every window. */
    void close() {
        for (Window window : windows)
            window.removeEventFilter(MouseEvent.ANY, this)
        windows.clear()
        forget()
    }
}
