package qupath.lib.geom;

public class Point2 {
    public native double getX();
    public native double getY();
}
