package qupath.lib.roi.interfaces;

public interface ROI {
    java.awt.Shape getShape();
    boolean isEmpty();
    boolean isArea();
    boolean isLine();
    org.locationtech.jts.geom.Geometry getGeometry();
    double getArea();
    double getCentroidX();
    double getCentroidY();
    double getBoundsX();
    double getBoundsY();
    double getBoundsWidth();
    double getBoundsHeight();
    qupath.lib.regions.ImagePlane getImagePlane();
    java.util.List<qupath.lib.geom.Point2> getAllPoints();
}
