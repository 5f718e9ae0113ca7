package qpgaze

import groovy.transform.CompileStatic
import javafx.geometry.BoundingBox
import javafx.geometry.Bounds
import javafx.scene.Node
import javafx.scene.layout.Pane
import javafx.stage.Screen
import javafx.stage.Stage
import javafx.stage.Window
import qupath.lib.gui.viewer.QuPathViewer

import java.awt.geom.Point2D

/** Reads what a viewer shows, as a line of viewer.jsonl. On the JavaFX thread only, and cheap. */
@CompileStatic
final class ViewerReader {

    private final Covers covers
    private final Pointer pointer

    ViewerReader(Covers covers, Pointer pointer) {
        this.covers = covers
        this.pointer = pointer
    }

    static long nowUs() {
        return System.nanoTime().intdiv(1000L).longValue()
    }

    /**
     * A viewer's present state without stamps (see stamp).
     *
     * The corners are QuPath's own answers for the corners of the very rectangle that
     * bounds_screen_px names, so that the affine map of the two is exact at any fraction of a pixel.
     */
    Map<String, Object> read(QuPathViewer viewer, String name, Map<String, Object> image) {
        Pane view = viewer.getView()
        double width = view.getWidth()
        double height = view.getHeight()
        Bounds onScreen = view.getScene() == null ? null
            : view.localToScreen(new BoundingBox(0d, 0d, width, height))
        Window window = view.getScene()?.getWindow()
        boolean readable = image != null && width > 0 && Double.isFinite(viewer.getCenterPixelX())
        Screen screen = onScreen == null ? null : screenOf(onScreen)
        Map<String, Object> state = new LinkedHashMap<>(24)
        state.put("t_us", 0L)
        state.put("viewer", name)
        state.put("image", readable ? image : null)
        state.put("corners_image_px", readable ? corners(viewer, width, height) : null)
        state.put("downsample", readable ? viewer.getDownsampleFactor() : null)
        state.put("rotation_rad", viewer.getRotation())
        state.put("bounds_screen_px", onScreen == null ? null
            : rectangle(onScreen.getMinX(), onScreen.getMinY(), onScreen.getWidth(), onScreen.getHeight()))
        if (screen != null) {
            def b = screen.getBounds()
            state.put("screen_bounds_px", rectangle(b.getMinX(), b.getMinY(), b.getWidth(), b.getHeight()))
            state.put("screen_scale", screen.getOutputScaleX())
        } else
            state.put("screen_bounds_px", null)
        state.put("z", viewer.getZPosition())
        state.put("t", viewer.getTPosition())
        state.put("shown", window != null && window.isShowing() && viewer.isShowing())
        state.put("iconified", window instanceof Stage && ((Stage) window).isIconified())
        state.put("focused", window != null && window.isFocused())
        state.put("cursor_viewer_px", cursor(viewer, onScreen))
        state.put("covers", onScreen == null ? [] : covering(viewer, onScreen, window))
        return state
    }

    /** Without them a state still says what the viewer shows. */
    private List<Map<String, Object>> covering(QuPathViewer viewer, Bounds onScreen, Window window) {
        return (List<Map<String, Object>>) Troubles.attempt("what covers the slide") {
            covers.of(viewer, onScreen, window)
        } ?: new ArrayList<Map<String, Object>>()
    }

    /** What two states have in common where nothing changed but the time. */
    static boolean same(Map<String, Object> one, Map<String, Object> other) {
        if (one == null || other == null)
            return false
        for (Map.Entry<String, Object> entry : one.entrySet()) {
            // Java's equality, not Groovy's: that one compares numbers of lists by much work.
            String key = entry.getKey()
            if (key.equals("t_us") || key.equals("read_us") || key.equals("painted_us"))
                continue
            if (!java.util.Objects.equals(entry.getValue(), other.get(key)))
                return false
        }
        return true
    }

    private static List<List<Double>> corners(QuPathViewer viewer, double width, double height) {
        return [corner(viewer, 0d, 0d), corner(viewer, width, 0d), corner(viewer, 0d, height)]
    }

    private static List<Double> corner(QuPathViewer viewer, double x, double y) {
        Point2D p = viewer.componentPointToImagePoint(x, y, new Point2D.Double(), false)
        return [p.getX(), p.getY()]
    }

    static List<Double> rectangle(double x, double y, double width, double height) {
        return [x, y, width, height]
    }

    /** The monitor that carries most of the viewer. */
    private static Screen screenOf(Bounds b) {
        Screen best = null
        double most = -1
        for (Screen screen : Screen.getScreensForRectangle(b.getMinX(), b.getMinY(), b.getWidth(), b.getHeight())) {
            def s = screen.getBounds()
            double width = Math.min(s.getMaxX(), b.getMaxX()) - Math.max(s.getMinX(), b.getMinX())
            double height = Math.min(s.getMaxY(), b.getMaxY()) - Math.max(s.getMinY(), b.getMinY())
            if (width * height > most) {
                most = width * height
                best = screen
            }
        }
        return best
    }

    /** The mouse over the viewer, also while a button drags; QuPath's own answer where nobody else knows. */
    private List<Double> cursor(QuPathViewer viewer, Bounds onScreen) {
        double[] mouse = onScreen == null ? null : pointer.place()
        if (mouse != null) {
            double x = mouse[0] - onScreen.getMinX()
            double y = mouse[1] - onScreen.getMinY()
            return x < 0 || y < 0 || x >= onScreen.getWidth() || y >= onScreen.getHeight() ? null : [x, y]
        }
        Point2D p = viewer.getMousePosition()
        return p == null ? null : [p.getX(), p.getY()]
    }
}
