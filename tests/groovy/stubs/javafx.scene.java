package javafx.scene;

import javafx.collections.ObservableList;
import javafx.collections.ObservableMap;
import javafx.event.Event;
import javafx.event.EventHandler;
import javafx.event.EventTarget;
import javafx.event.EventType;
import javafx.geometry.Bounds;
import javafx.stage.Window;

public abstract class Node implements EventTarget {
    public final native Scene getScene();
    public final native Parent getParent();
    public native boolean hasProperties();
    public final native ObservableMap<Object, Object> getProperties();
    public native Bounds localToScreen(Bounds local);
    public final native Bounds getLayoutBounds();
    public final native boolean isVisible();
    public final native double getOpacity();
    public final native void setMouseTransparent(boolean value);
    public final native void setStyle(String style);
    public final native void setId(String id);
    public native void setUserData(Object value);
    public native Object getUserData();
    public final native <T extends Event> void addEventFilter(EventType<T> type, EventHandler<? super T> handler);
    public final native <T extends Event> void removeEventFilter(EventType<T> type, EventHandler<? super T> handler);
}

public abstract class Parent extends Node {
    public native ObservableList<Node> getChildrenUnmodifiable();
}

public class Scene implements EventTarget {
    public Scene(Parent root, double width, double height) {}
    public final native Window getWindow();
    public final native Node getFocusOwner();
    public final native <T extends Event> void addEventFilter(EventType<T> type, EventHandler<? super T> handler);
    public final native <T extends Event> void removeEventFilter(EventType<T> type, EventHandler<? super T> handler);
}
