package javafx.scene.layout;

import javafx.collections.ObservableList;
import javafx.geometry.Insets;
import javafx.geometry.Pos;
import javafx.scene.Node;
import javafx.scene.Parent;

public abstract class Region extends Parent {
    public final native double getWidth();
    public final native double getHeight();
    public static final double USE_PREF_SIZE = Double.NEGATIVE_INFINITY;
    public final native void setMinHeight(double value);
    public final native void setPrefWidth(double value);
    public final native void setPadding(Insets value);
}

public class Pane extends Region {
    public native ObservableList<Node> getChildren();
}

public class AnchorPane extends Pane {
    public static native Double getTopAnchor(Node child);
    public static native Double getRightAnchor(Node child);
    public static native Double getBottomAnchor(Node child);
    public static native Double getLeftAnchor(Node child);
}

public class GridPane extends Pane {
    public GridPane() {}
    public final native void setHgap(double value);
    public final native void setVgap(double value);
    public native void add(Node child, int column, int row);
}

public class StackPane extends Pane {
    public StackPane(Node... children) {}
    public final native void setAlignment(Pos value);
    public static native void setAlignment(Node child, Pos value);
    public static native void setMargin(Node child, Insets value);
}
