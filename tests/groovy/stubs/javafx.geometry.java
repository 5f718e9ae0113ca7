package javafx.geometry;

public abstract class Bounds {
    public final native double getMinX();
    public final native double getMinY();
    public final native double getMaxX();
    public final native double getMaxY();
    public final native double getWidth();
    public final native double getHeight();
}

public class BoundingBox extends Bounds {
    public BoundingBox(double x, double y, double width, double height) {}
}

public class Rectangle2D {
    public Rectangle2D(double x, double y, double width, double height) {}
    public native double getMinX();
    public native double getMinY();
    public native double getMaxX();
    public native double getMaxY();
    public native double getWidth();
    public native double getHeight();
}

public class Point2D {
    public Point2D(double x, double y) {}
    public final native double getX();
    public final native double getY();
}

public class Insets {
    public Insets(double all) {}
    public Insets(double top, double right, double bottom, double left) {}
}

public enum Pos {
    TOP_CENTER, CENTER, BOTTOM_CENTER
}
