package javafx.event;

public interface EventTarget {}

public class EventType<T extends Event> {}

public interface EventHandler<T extends Event> extends java.util.EventListener {
    void handle(T event);
}

public class Event extends java.util.EventObject {
    public Event(EventType<? extends Event> type) {
        super(type);
    }
    public native EventTarget getTarget();
    public native EventType<? extends Event> getEventType();
    public native void consume();
    public native boolean isConsumed();
}

public class ActionEvent extends Event {
    public ActionEvent() {
        super(null);
    }
}
