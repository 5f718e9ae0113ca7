package qpgaze

import groovy.transform.CompileStatic
import javafx.event.EventHandler
import javafx.scene.input.MouseButton
import javafx.scene.input.MouseEvent
import qupath.lib.gui.QuPathGUI
import qupath.lib.gui.viewer.QuPathViewer
import qupath.lib.objects.PathObject
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.objects.hierarchy.events.PathObjectHierarchyEvent
import qupath.lib.objects.hierarchy.events.PathObjectHierarchyListener

/**
 * What a reader draws by hand, as events: when each annotation was begun and ended, with which tool.
 *
 * It begins with the press of the mouse and ends with the release after which the annotation is
 * among the image's objects, whatever number of clicks lies between. On the JavaFX thread only.
 */
@CompileStatic
final class Drawings implements AutoCloseable {

    /** Told on the JavaFX thread. */
    interface Sink {
        void drawn(long tUs, QuPathViewer viewer, Map<String, Object> data)
    }

    /** The hand in one viewer. */
    private final class Hand implements EventHandler<MouseEvent>, PathObjectHierarchyListener {
        final QuPathViewer viewer
        private PathObjectHierarchy watched
        private final Set<PathObject> added = Collections.newSetFromMap(new IdentityHashMap<PathObject, Boolean>())
        private boolean down = false
        private long pressedUs
        private long releasedUs
        private String tool
        private PathObject before
        private Object roiBefore
        private PathObject drawing
        private boolean edits

        Hand(QuPathViewer viewer) {
            this.viewer = viewer
        }

        @Override
        void handle(MouseEvent event) {
            Troubles.attempt("manual annotations") { take(event) }
        }

        private void take(MouseEvent event) {
            if (event.getEventType() == MouseEvent.MOUSE_RELEASED) {
                releasedUs = ViewerReader.nowUs()
                if (event.getButton() == MouseButton.PRIMARY)
                    down = false
                return
            }
            if (event.getButton() != MouseButton.PRIMARY || viewer.getHierarchy() == null)
                return
            down = true
            if (drawing != null)
                return // a polygon's next corner
            tool = Calls.tool(qupath, viewer)
            if (tool == null || tool == "move")
                return
            pressedUs = ViewerReader.nowUs()
            before = viewer.getSelectedObject()
            roiBefore = before?.getROI()
            listen(viewer.getHierarchy())
        }

        private void listen(PathObjectHierarchy hierarchy) {
            forgetAdded()
            if (hierarchy.is(watched))
                return
            leave()
            watched = hierarchy
            watched.addListener(this)
        }

        void leave() {
            watched?.removeListener(this)
            watched = null
            forgetAdded()
        }

        private void forgetAdded() {
            synchronized (added) {
                added.clear()
            }
        }

        /** Of any thread: only the hand's own object counts, which is looked up on the JavaFX thread. */
        @Override
        void hierarchyChanged(PathObjectHierarchyEvent event) {
            if (event.getEventType() == PathObjectHierarchyEvent.HierarchyEventType.ADDED)
                synchronized (added) {
                    added.addAll(event.getChangedObjects())
                }
        }

        void pulse() {
            if (watched == null)
                return
            if (!watched.is(viewer.getHierarchy())) {
                end(false) // the image was closed while it was drawn
                return
            }
            if (drawing == null)
                begin()
            if (drawing != null && !down) {
                boolean there = drawing.getParent() != null
                if (there || !drawing.is(viewer.getSelectedObject()))
                    end(there)
            } else if (drawing == null && !down)
                leave()
        }

        private void begin() {
            PathObject now = viewer.getSelectedObject()
            if (now == null || !now.isAnnotation())
                return
            boolean isNew
            synchronized (added) {
                isNew = now.getParent() == null || added.contains(now)
            }
            edits = now.is(before)
            if (edits ? now.getROI().is(roiBefore) : !isNew)
                return
            drawing = now
            sink.drawn(pressedUs, viewer, data("start"))
        }

        private void end(boolean kept) {
            PathObject was = drawing
            drawing = null
            leave()
            if (was == null)
                return
            Map<String, Object> data = data("end", was)
            data.put("kept", kept)
            sink.drawn(Math.max(releasedUs, pressedUs), viewer, data)
        }

        private Map<String, Object> data(String what, PathObject object = drawing) {
            Map<String, Object> data = new LinkedHashMap<>()
            data.put("event", what)
            data.put("tool", tool)
            data.put("class", object.getPathClass()?.toString())
            data.put("object", object.getID().toString())
            data.put("edits", edits)
            return data
        }
    }

    private final QuPathGUI qupath
    private final Sink sink
    private final Map<QuPathViewer, Hand> hands = new LinkedHashMap<>()

    Drawings(QuPathGUI qupath, Sink sink) {
        this.qupath = qupath
        this.sink = sink
    }

    /** Look at each viewer's hand; once a pulse. */
    void pulse(List<QuPathViewer> viewers) {
        if (hands.size() != viewers.size() || !hands.keySet().containsAll(viewers)) {
            for (QuPathViewer gone : hands.keySet().findAll { !viewers.contains(it) })
                forget(gone)
            for (QuPathViewer viewer : viewers)
                if (!hands.containsKey(viewer))
                    follow(viewer)
        }
        for (Hand hand : hands.values())
            hand.pulse()
    }

    private void follow(QuPathViewer viewer) {
        Hand hand = new Hand(viewer)
        hands.put(viewer, hand)
        viewer.getView().addEventFilter(MouseEvent.MOUSE_PRESSED, hand)
        viewer.getView().addEventFilter(MouseEvent.MOUSE_RELEASED, hand)
    }

    private void forget(QuPathViewer viewer) {
        Hand hand = hands.remove(viewer)
        viewer.getView().removeEventFilter(MouseEvent.MOUSE_PRESSED, hand)
        viewer.getView().removeEventFilter(MouseEvent.MOUSE_RELEASED, hand)
        hand.leave()
    }

    @Override
    void close() {
        for (QuPathViewer viewer : hands.keySet().toList())
            forget(viewer)
    }
}
