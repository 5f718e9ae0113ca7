package qupath.lib.roi.interfaces;

public interface ROI {
    java.awt.Shape getShape();
    boolean isEmpty();
}
