package qupath.lib.gui.viewer;

import java.awt.Shape;
import java.awt.geom.Point2D;
import java.awt.image.BufferedImage;
import javafx.collections.ObservableList;
import javafx.scene.layout.Pane;
import qupath.lib.gui.viewer.overlays.PathOverlay;
import qupath.lib.images.ImageData;
import qupath.lib.objects.PathObject;
import qupath.lib.objects.hierarchy.PathObjectHierarchy;

public class OverlayOptions {}

public interface QuPathViewerListener {
    void imageDataChanged(QuPathViewer viewer, ImageData<BufferedImage> before, ImageData<BufferedImage> now);
    void visibleRegionChanged(QuPathViewer viewer, Shape shape);
    void selectedObjectChanged(QuPathViewer viewer, PathObject selected);
    void viewerClosed(QuPathViewer viewer);
}

public class QuPathViewer {
    private QuPathViewer() {}
    public native Pane getView();
    public native ImageData<BufferedImage> getImageData();
    public native PathObjectHierarchy getHierarchy();
    public native PathObject getSelectedObject();
    public native double getCenterPixelX();
    public native double getCenterPixelY();
    public native double getDownsampleFactor();
    public native double getRotation();
    public native int getZPosition();
    public native int getTPosition();
    public native boolean isShowing();
    public native Point2D getMousePosition();
    public native Point2D componentPointToImagePoint(double x, double y, Point2D into, boolean constrain);
    public native OverlayOptions getOverlayOptions();
    public native ObservableList<PathOverlay> getCustomOverlayLayers();
    public native void addViewerListener(QuPathViewerListener listener);
    public native void removeViewerListener(QuPathViewerListener listener);
    public native void repaint();
}
