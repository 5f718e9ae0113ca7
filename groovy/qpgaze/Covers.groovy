package qpgaze

import groovy.transform.CompileStatic
import javafx.geometry.Bounds
import javafx.geometry.Point2D
import javafx.scene.Node
import javafx.scene.Parent
import javafx.scene.control.Slider
import javafx.scene.layout.AnchorPane
import javafx.stage.PopupWindow
import javafx.stage.Stage
import javafx.stage.Window
import qupath.lib.gui.viewer.QuPathViewer

/** What lies over the slide: QuPath's own panes in the viewer, and its windows in front of it. */
@CompileStatic
final class Covers {

    /** Set on a node of ours that covers the slide: its kind. */
    static final String KIND = "qpgaze.cover"

    /** When each window was last seen focused, in pulses: the order of windows nobody tells. */
    private final Map<Window, Long> focused = new WeakHashMap<>()
    private long pulse = 0

    /** Look once a pulse which window has the focus. */
    void pulse() {
        pulse++
        for (Window window : Window.getWindows())
            if (window.isFocused())
                focused.put(window, pulse)
    }

    List<Map<String, Object>> of(QuPathViewer viewer, Bounds onScreen, Window own) {
        List<Map<String, Object>> found = []
        for (Node child : viewer.getView().getChildrenUnmodifiable()) {
            Object kind = child.hasProperties() ? child.getProperties().get(KIND) : null
            if (kind != null)
                add(found, (String) kind, child, onScreen)
            else if (child instanceof AnchorPane)
                for (Node part : ((Parent) child).getChildrenUnmodifiable())
                    add(found, kindOf(part), part, onScreen)
        }
        for (Window window : Window.getWindows())
            if (!window.is(own) && window.isShowing() && inFront(window, own))
                addWindow(found, window, onScreen)
        return found
    }

    /** QuPath keeps these parts to itself: told apart by their place and kind. */
    private static String kindOf(Node part) {
        if (part instanceof Slider)
            return "slider"
        boolean right = AnchorPane.getRightAnchor(part) != null
        if (AnchorPane.getTopAnchor(part) != null)
            return right ? "overview" : "other"
        if (AnchorPane.getBottomAnchor(part) != null)
            return right ? "location" : "scalebar"
        return "other"
    }

    private static void add(List<Map<String, Object>> found, String kind, Node part, Bounds onScreen) {
        if (!part.isVisible() || part.getOpacity() <= 0)
            return
        Bounds b = part.localToScreen(part.getLayoutBounds())
        if (b != null)
            addRectangle(found, kind, b.getMinX(), b.getMinY(), b.getWidth(), b.getHeight(), onScreen)
    }

    private static void addWindow(List<Map<String, Object>> found, Window w, Bounds onScreen) {
        if (w instanceof Stage && ((Stage) w).isIconified())
            return
        addRectangle(found, "window", w.getX(), w.getY(), w.getWidth(), w.getHeight(), onScreen)
    }

    private static void addRectangle(List<Map<String, Object>> found, String kind, double x, double y,
                                     double width, double height, Bounds viewer) {
        double left = Math.max(x, viewer.getMinX())
        double top = Math.max(y, viewer.getMinY())
        double right = Math.min(x + width, viewer.getMaxX())
        double bottom = Math.min(y + height, viewer.getMaxY())
        if (!(right > left && bottom > top) || found.size() >= 256)
            return
        found << ([kind: kind, rect_viewer_px: ViewerReader.rectangle(
            left - viewer.getMinX(), top - viewer.getMinY(), right - left, bottom - top)] as Map<String, Object>)
    }

    /** A menu, a tooltip and what the viewer's window owns lie before it; else who had the focus later. */
    private boolean inFront(Window window, Window own) {
        if (window instanceof PopupWindow)
            return true
        if (window instanceof Stage) {
            Window owner = ((Stage) window).getOwner()
            while (owner != null) {
                if (owner.is(own))
                    return true
                owner = owner instanceof Stage ? ((Stage) owner).getOwner() : null
            }
        }
        return (focused.get(window) ?: 0L) > (focused.get(own) ?: 0L)
    }
}
