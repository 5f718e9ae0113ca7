package javafx.scene.input;

import javafx.event.Event;
import javafx.event.EventType;

public enum KeyCode {
    DIGIT1, X
}

public abstract class InputEvent extends Event {
    InputEvent() {
        super(null);
    }
}

public final class KeyEvent extends InputEvent {
    public static final EventType<KeyEvent> ANY = null;
    public static final EventType<KeyEvent> KEY_PRESSED = null;
    public static final EventType<KeyEvent> KEY_TYPED = null;
    public static final EventType<KeyEvent> KEY_RELEASED = null;
    public native KeyCode getCode();
    public native boolean isShortcutDown();
    public native boolean isControlDown();
    public native boolean isAltDown();
    public native boolean isMetaDown();
    @Override
    public native EventType<KeyEvent> getEventType();
}
