package qpgaze

import groovy.transform.CompileStatic
import javafx.event.Event
import javafx.event.EventHandler
import javafx.scene.Node
import javafx.scene.Scene
import javafx.scene.control.TextInputControl
import javafx.scene.input.KeyEvent

/** Takes the labelling keys from QuPath while a gaze session runs, in the scene of every viewer. */
@CompileStatic
final class Keys implements EventHandler<KeyEvent>, AutoCloseable {

    /** Told on the JavaFX thread. */
    interface Sink {
        void labelled(long tUs, KeyLogic.Answer answer)
    }

    private final KeyLogic logic
    private final Sink sink
    private final Set<Scene> scenes = new LinkedHashSet<>()
    private boolean active = false
    /** Keys that went down while they were ours: what follows of them is ours as well. */
    private final Set<String> down = new HashSet<>()
    private boolean swallowTyped = false

    Keys(KeyLogic logic, Sink sink) {
        this.logic = logic
        this.sink = sink
    }

    /** Listen in these scenes, while active. */
    void refresh(Collection<Scene> open) {
        for (Scene gone : scenes.findAll { !active || !open.contains(it) })
            detach(gone)
        if (active)
            for (Scene scene : open)
                if (scene != null && scenes.add(scene))
                    scene.addEventFilter(KeyEvent.ANY, this)
    }

    void setActive(boolean now, boolean stopping) {
        if (active && !now)
            interrupted(stopping)
        active = now
        if (!now)
            refresh([])
    }

    boolean isActive() {
        return active
    }

    /** The window lost the keyboard: a held key's release never comes. */
    void interrupted(boolean stopping) {
        down.clear()
        swallowTyped = false
        for (KeyLogic.Answer answer : logic.interrupted(stopping))
            send(ViewerReader.nowUs(), answer)
    }

    /** What goes wrong here would be shown by QuPath as its own error, with every key. */
    @Override
    void handle(KeyEvent event) {
        Troubles.attempt("labelling keys") { take(event) }
    }

    private void take(KeyEvent event) {
        long now = ViewerReader.nowUs()
        def type = event.getEventType()
        if (type == KeyEvent.KEY_TYPED) {
            // QuPath acts on typed characters, too: a digit switches the displayed channel.
            if (swallowTyped)
                event.consume()
            return
        }
        String name = event.getCode().name()
        if (type == KeyEvent.KEY_RELEASED) {
            swallowTyped = false
            if (!down.remove(name))
                return
            event.consume()
            send(now, logic.released(name))
            return
        }
        swallowTyped = false
        boolean shortcut = event.isShortcutDown() || event.isControlDown() || event.isAltDown() || event.isMetaDown()
        if (!active || shortcut || typing(event) || !logic.takes(name))
            return
        event.consume()
        swallowTyped = true
        if (down.add(name)) // the keyboard repeats a key that stays down
            send(now, logic.pressed(name))
    }

    private void send(long now, KeyLogic.Answer answer) {
        if (answer != null)
            sink.labelled(now, answer)
    }

    private static boolean typing(KeyEvent event) {
        if (isText(event.getTarget()))
            return true
        Object source = event.getSource()
        return source instanceof Scene && isText(((Scene) source).getFocusOwner())
    }

    private static boolean isText(Object target) {
        if (target instanceof TextInputControl)
            return true
        if (!(target instanceof Node))
            return false
        // QuPath's script editor and its web pages are made of other parts, told by their names.
        String name = target.getClass().getName().toLowerCase(Locale.ROOT)
        return name.contains("textarea") || name.contains("webview")
    }

    private void detach(Scene scene) {
        scene.removeEventFilter(KeyEvent.ANY, this)
        scenes.remove(scene)
    }

    @Override
    void close() {
        active = false
        for (Scene scene : scenes.toList())
            detach(scene)
    }
}
