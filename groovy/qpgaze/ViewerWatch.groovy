package qpgaze

import groovy.transform.CompileStatic
import javafx.animation.AnimationTimer
import javafx.application.Platform
import qupath.lib.gui.viewer.QuPathViewer
import qupath.lib.gui.viewer.QuPathViewerListener
import qupath.lib.images.ImageData
import qupath.lib.objects.PathObject

import java.awt.Shape

/**
 * Looks at every viewer once a pulse and passes on what changed, and everything once a second.
 *
 * A timer, not QuPath's own notices: in 0.5 many a change is painted without one. The notice that a
 * viewer paints only adds the moment of painting. Runs on the JavaFX thread and only while somebody
 * watches, for a running timer keeps JavaFX awake.
 */
@CompileStatic
final class ViewerWatch extends AnimationTimer implements Images.Namer {

    /** Told on the JavaFX thread. */
    interface Sink {
        void viewerState(Map<String, Object> state)

        void pulse(List<QuPathViewer> viewers)
    }

    /** What is kept of a viewer between pulses. */
    private final class Seen implements QuPathViewerListener, Runnable {
        final QuPathViewer viewer
        final String name
        Map<String, Object> last
        long sentUs = Long.MIN_VALUE
        long lastUs = Long.MIN_VALUE
        long paintedUs = Long.MIN_VALUE
        double[] paintedPose = new double[4]
        private boolean asked = false

        Seen(QuPathViewer viewer, String name) {
            this.viewer = viewer
            this.name = name
        }

        double[] pose() {
            return [viewer.getCenterPixelX(), viewer.getCenterPixelY(), viewer.getDownsampleFactor(),
                    viewer.getRotation()] as double[]
        }

        @Override
        void visibleRegionChanged(QuPathViewer v, Shape shape) {
            paintedUs = ViewerReader.nowUs()
            paintedPose = pose()
            // Sooner than the next pulse, but not now: the viewer may be between two images.
            if (!asked) {
                asked = true
                Platform.runLater(this)
            }
        }

        @Override
        void run() {
            asked = false
            lookNow(this)
        }

        @Override
        void imageDataChanged(QuPathViewer v, ImageData before, ImageData now) {}

        @Override
        void selectedObjectChanged(QuPathViewer v, PathObject selected) {}

        @Override
        void viewerClosed(QuPathViewer v) {}
    }

    private final ViewerReader reader
    private final Covers covers
    private final Pointer pointer
    private final Images images
    private final Sink sink
    private final Map<QuPathViewer, Seen> seen = new LinkedHashMap<>()
    private int names = 0
    private long pulses = 0
    private long spentNs = 0
    private long worstNs = 0
    private boolean running = false

    ViewerWatch(Images images, Sink sink) {
        this.covers = new Covers()
        this.pointer = new Pointer()
        this.reader = new ViewerReader(covers, pointer)
        this.images = images
        this.sink = sink
    }

    @Override
    void start() {
        if (!running) {
            running = true
            super.start()
        }
    }

    @Override
    void stop() {
        running = false
        super.stop()
        pointer.close()
        for (Seen one : seen.values())
            one.viewer.removeViewerListener(one)
        // A viewer keeps its name for as long as it lives.
        for (Seen one : seen.values())
            one.last = null
    }

    void forget() {
        stop()
        seen.clear()
    }

    @Override
    void handle(long pulse) {
        long began = System.nanoTime()
        try {
            look()
        } catch (Exception e) {
            Troubles.once("viewers", "could not be read: ${e}")
        }
        long spent = System.nanoTime() - began
        pulses++
        spentNs += spent
        worstNs = Math.max(worstNs, spent)
    }

    /** Pulses so far, and what one took on average and at worst, microseconds. */
    Map<String, Object> cost() {
        return [pulses: pulses, mean_us: pulses ? spentNs.intdiv(pulses * 1000L) : 0L,
                worst_us: worstNs.intdiv(1000L)] as Map<String, Object>
    }

    void resetCost() {
        pulses = spentNs = worstNs = 0
    }

    /** The present state of every viewer, stamped now: the keyframe of a new subscriber. */
    List<Map<String, Object>> states() {
        return viewers().collect { Seen one -> stamped(one, read(one)) }
    }

    /** The name of a viewer, the same for as long as it is open. */
    @Override
    String nameOf(QuPathViewer viewer) {
        for (Seen one : viewers())
            if (one.viewer.is(viewer))
                return one.name
        return null
    }

    QuPathViewer named(String name) {
        return viewers().find { it.name == name }?.viewer
    }

    private void look() {
        covers.pulse()
        pointer.pulse()
        images.pulse()
        Collection<Seen> open = viewers()
        Troubles.attempt("manual annotations") { sink.pulse(new ArrayList<QuPathViewer>(seen.keySet())) }
        for (Seen one : open)
            send(one)
    }

    private void send(Seen one) {
        Map<String, Object> state = read(one)
        long now = (Long) state.get("read_us")
        boolean due = now - one.sentUs >= WireServer.KEYFRAME_US - 20_000L
        if (!due && ViewerReader.same(state, one.last))
            return
        one.last = state
        one.sentUs = now
        sink.viewerState(stamped(one, state))
    }

    /** A viewer was painted: what changed goes out before the next pulse. */
    void lookNow(Seen one) {
        if (!running || one.last == null || images.identity(one.viewer) == null)
            return
        long began = System.nanoTime()
        Troubles.attempt("viewers") { send(one) }
        spentNs += System.nanoTime() - began
    }

    private Map<String, Object> read(Seen one) {
        long now = ViewerReader.nowUs()
        Map<String, Object> state = reader.read(one.viewer, one.name, images.identity(one.viewer))
        state.put("read_us", now)
        boolean painted = one.paintedUs > Long.MIN_VALUE && Arrays.equals(one.paintedPose, one.pose())
        state.put("painted_us", painted ? one.paintedUs : null)
        return state
    }

    /** In force since it was painted, where that is known and new; else since it was read. */
    private static Map<String, Object> stamped(Seen one, Map<String, Object> state) {
        long readUs = (Long) state.get("read_us")
        Long paintedUs = (Long) state.get("painted_us")
        long t = paintedUs != null && paintedUs > one.lastUs && paintedUs <= readUs ? paintedUs : readUs
        one.lastUs = Math.max(one.lastUs, t)
        state.put("t_us", t)
        return state
    }

    private Collection<Seen> viewers() {
        List<QuPathViewer> open = images.viewers()
        if (seen.size() != open.size() || !seen.keySet().containsAll(open)) {
            def gone = seen.keySet().findAll { !open.contains(it) }
            for (QuPathViewer viewer : gone)
                viewer.removeViewerListener(seen.remove(viewer))
            for (QuPathViewer viewer : open)
                if (!seen.containsKey(viewer))
                    seen.put(viewer, new Seen(viewer, String.valueOf(++names)))
        }
        for (Seen one : seen.values())
            if (running && one.last == null)
                listen(one)
        return seen.values()
    }

    private static void listen(Seen one) {
        // Never twice, whatever QuPath makes of it.
        one.viewer.removeViewerListener(one)
        one.viewer.addViewerListener(one)
    }
}
