package javafx.scene.input;

import javafx.event.Event;
import javafx.event.EventType;

public enum KeyCode {
    DIGIT1, X, TAB, ESCAPE, ENTER;
    public final native String getName();
    public final native boolean isModifierKey();
}

public abstract class InputEvent extends Event {
    InputEvent() {
        super(null);
    }
}

public enum MouseButton {
    NONE, PRIMARY, MIDDLE, SECONDARY
}

public class MouseEvent extends InputEvent {
    public static final EventType<MouseEvent> ANY = null;
    public static final EventType<MouseEvent> MOUSE_EXITED = null;
    public static final EventType<MouseEvent> MOUSE_EXITED_TARGET = null;
    public final native double getScreenX();
    public final native double getScreenY();
    public static final EventType<MouseEvent> MOUSE_PRESSED = null;
    private MouseEvent() {}
    public static final EventType<MouseEvent> MOUSE_RELEASED = null;
    public final native MouseButton getButton();
    @Override
    public native EventType<? extends MouseEvent> getEventType();
}

public final class KeyEvent extends InputEvent {
    public static final EventType<KeyEvent> ANY = null;
    private KeyEvent() {}
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
