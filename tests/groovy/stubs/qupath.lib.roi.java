package qupath.lib.roi;

import qupath.lib.regions.ImagePlane;
import qupath.lib.roi.interfaces.ROI;

public class ROIs {
    private ROIs() {}
    public static native ROI createPointsROI(double x, double y, ImagePlane plane);
    public static native ROI createPointsROI(double[] xs, double[] ys, ImagePlane plane);
    public static native ROI createLineROI(double x, double y, double x2, double y2, ImagePlane plane);
    public static native ROI createPolylineROI(double[] xs, double[] ys, ImagePlane plane);
    public static native ROI createPolygonROI(double[] xs, double[] ys, ImagePlane plane);
    public static native ROI createEllipseROI(double x, double y, double width, double height, ImagePlane plane);
    public static native ROI createRectangleROI(double x, double y, double width, double height, ImagePlane plane);
}

public abstract class EllipseROI implements ROI {}

public abstract class PolygonROI implements ROI {}

public abstract class RectangleROI implements ROI {}
