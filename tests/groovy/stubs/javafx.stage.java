package javafx.stage;

import java.io.File;
import javafx.collections.ObservableList;
import javafx.collections.ObservableMap;
import javafx.event.Event;
import javafx.event.EventHandler;
import javafx.event.EventTarget;
import javafx.event.EventType;
import javafx.geometry.Rectangle2D;
import javafx.scene.Scene;

public class Window implements EventTarget {
    public static native ObservableList<Window> getWindows();
    public final native double getX();
    public final native double getY();
    public final native double getWidth();
    public final native double getHeight();
    public final native boolean isFocused();
    public final native boolean isShowing();
    public final native Scene getScene();
    public final native ObservableMap<Object, Object> getProperties();
    public final native void setX(double value);
    public final native void setY(double value);
    public final native <T extends Event> void addEventFilter(EventType<T> type, EventHandler<? super T> handler);
    public final native <T extends Event> void removeEventFilter(EventType<T> type, EventHandler<? super T> handler);
}

public enum Modality {
    NONE, WINDOW_MODAL, APPLICATION_MODAL
}

public enum StageStyle {
    DECORATED, UNDECORATED, TRANSPARENT, UTILITY, UNIFIED
}

public class Stage extends Window {
    public Stage(StageStyle style) {}
    public final native void initOwner(Window owner);
    public final native void setScene(Scene scene);
    public final native void show();
    public native void close();
    public final native Window getOwner();
    public final native Modality getModality();
    public final native boolean isIconified();
}

public abstract class PopupWindow extends Window {}

public final class Screen {
    private Screen() {}
    public static native ObservableList<Screen> getScreens();
    public static native ObservableList<Screen> getScreensForRectangle(double x, double y, double width, double height);
    public final native Rectangle2D getBounds();
    public final native double getOutputScaleX();
    public final native double getOutputScaleY();
}

public final class FileChooser {
    public final native void setTitle(String title);
    public native ObservableList<ExtensionFilter> getExtensionFilters();
    public native File showOpenDialog(Window owner);

    public static final class ExtensionFilter {
        public ExtensionFilter(String description, String... endings) {}
    }
}

public final class DirectoryChooser {
    public final native void setTitle(String title);
    public native File showDialog(Window owner);
}
