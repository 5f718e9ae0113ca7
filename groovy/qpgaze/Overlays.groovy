package qpgaze

import groovy.transform.CompileStatic
import qupath.lib.gui.viewer.OverlayOptions
import qupath.lib.gui.viewer.QuPathViewer
import qupath.lib.gui.viewer.overlays.AbstractOverlay
import qupath.lib.images.ImageData
import qupath.lib.objects.PathObject
import qupath.lib.regions.ImageRegion

import java.awt.AlphaComposite
import java.awt.BasicStroke
import java.awt.Color
import java.awt.Font
import java.awt.Graphics2D
import java.awt.Rectangle
import java.awt.RenderingHints
import java.awt.Shape
import java.awt.geom.Ellipse2D
import java.awt.image.BufferedImage
import java.util.concurrent.ConcurrentHashMap

/** Where the eye is and what was labelled, drawn over the slide; the image's data stay untouched. */
@CompileStatic
final class Overlays implements AutoCloseable {

    /** A label that is shown: its shape on the slide, colour and class. */
    static final class Shown {
        final Shape shape
        final Color color
        final String text

        Shown(Shape shape, Color color, String text) {
            this.shape = shape
            this.color = color
            this.text = text
        }
    }

    /** One in each viewer; everything it draws is in image pixels, sizes times the downsample. */
    static final class Layer extends AbstractOverlay {
        private final QuPathViewer viewer
        volatile List<Double> gaze
        volatile double radius
        volatile String hint = ""
        volatile Map<String, Shown> labels = Collections.emptyMap()

        Layer(OverlayOptions options, QuPathViewer viewer) {
            super(options)
            this.viewer = viewer
        }

        @Override
        void paintOverlay(Graphics2D g2d, ImageRegion region, double downsample, ImageData<BufferedImage> data,
                          boolean completely) {
            // Whatever is thrown while QuPath paints would leave its window unpainted.
            Graphics2D g = (Graphics2D) g2d.create()
            try {
                Troubles.attempt("drawing over the slide") { paint(g, downsample) }
            } finally {
                g.dispose()
            }
        }

        private void paint(Graphics2D g, double downsample) {
            g.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON)
            Rectangle seen = g.getClipBounds() // a long outline far away is many dashes that nobody sees
            for (Shown label : labels.values())
                if (seen == null || label.shape.intersects(seen))
                    paintLabel(g, label, downsample)
            List<Double> at = gaze // it may go meanwhile
            if (at != null)
                paintGaze(g, at, downsample)
        }

        private static void paintLabel(Graphics2D g, Shown label, double downsample) {
            g.setColor(label.color)
            // Dashed: proposed, not yet an object of the image.
            float dash = (float) (6 * downsample)
            g.setStroke(new BasicStroke((float) (2 * downsample), BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND,
                10f, [dash, dash] as float[], 0f))
            g.draw(label.shape)
        }

        private void paintGaze(Graphics2D g, List<Double> at, double downsample) {
            double r = radius > 0 ? radius : 5 * downsample
            def halo = new Ellipse2D.Double(at[0] - r, at[1] - r, 2 * r, 2 * r)
            g.setColor(new Color(255, 140, 0))
            if (radius > 0) {
                g.setComposite(AlphaComposite.getInstance(AlphaComposite.SRC_OVER, 0.15f))
                g.fill(halo)
                g.setComposite(AlphaComposite.getInstance(AlphaComposite.SRC_OVER, 0.8f))
                g.setStroke(new BasicStroke((float) (2 * downsample)))
                g.draw(halo)
            } else
                g.fill(halo)
            if (!hint)
                return
            g.translate((double) at[0], (double) at[1])
            g.rotate(-viewer.getRotation()) // upright on the screen
            g.setComposite(AlphaComposite.SrcOver)
            g.translate((double) (r + 6 * downsample), 0d)
            g.scale(downsample, downsample) // from here in pixels of the screen
            g.setFont(new Font(Font.SANS_SERIF, Font.BOLD, 13))
            int width = g.getFontMetrics().stringWidth(hint)
            g.setColor(new Color(0, 0, 0, 170))
            g.fillRoundRect(0, -13, width + 12, 24, 6, 6)
            g.setColor(Color.WHITE)
            g.drawString(hint, 6, 4)
        }
    }

    private final Images images
    private final Map<QuPathViewer, Layer> layers = new LinkedHashMap<>()
    /** Labels of each open image by their id: a viewer that opens it later shows them, too. */
    private final Map<String, Map<String, Shown>> labels = new ConcurrentHashMap<>()
    private static final long COARSE_NS = 250_000_000L
    private long coarseNs = 0
    private String coarse = ""
    private boolean gazeShown = false
    private boolean labelsShown = true

    Overlays(Images images) {
        this.images = images
    }

    /** Put a layer into each viewer, and into each its image's labels: on the JavaFX thread. */
    void refresh() {
        List<QuPathViewer> open = images.viewers()
        for (QuPathViewer gone : layers.keySet().findAll { !open.contains(it) })
            layers.remove(gone)
        for (QuPathViewer viewer : open) {
            Images.Open image = viewer.getImageData() == null ? null : images.of(viewer.getImageData())
            Map<String, Shown> wanted = image == null || !labelsShown ? null : labels.get(image.key)
            Layer layer = layers.get(viewer)
            if (layer == null && wanted == null)
                continue
            layer = layerOf(viewer)
            if (!layer.labels.is(wanted ?: Collections.emptyMap())) {
                layer.labels = wanted ?: Collections.<String, Shown>emptyMap()
                viewer.repaint()
            }
        }
    }

    private Layer layerOf(QuPathViewer viewer) {
        Layer layer = layers.get(viewer)
        if (layer == null) {
            layer = new Layer(viewer.getOverlayOptions(), viewer)
            layers.put(viewer, layer)
            viewer.getCustomOverlayLayers().add(layer)
        }
        return layer
    }

    void showGaze(QuPathViewer viewer, List<Number> at, double radius, String hint) {
        if (viewer == null || (!gazeShown && layers.get(viewer)?.gaze == null))
            return
        Layer layer = layerOf(viewer)
        layer.gaze = at == null || !gazeShown ? null : [at[0].doubleValue(), at[1].doubleValue()]
        layer.radius = radius
        layer.hint = hint ?: tooCoarse(viewer, layer.gaze, radius)
        viewer.repaint()
    }

    /** What is smaller than the halo cannot be told from what lies beside it. */
    private String tooCoarse(QuPathViewer viewer, List<Double> at, double radius) {
        if (at == null || !(radius > 0))
            return ""
        long now = System.nanoTime()
        if (now - coarseNs > COARSE_NS) { // a few times a second: an image may hold a million objects
            coarseNs = now
            double size = Calls.smallestAt(viewer, at[0], at[1])
            coarse = size < 2 * radius ? "zoom in first" : ""
        }
        return coarse
    }

    /** From any thread but the JavaFX one: shapes are made here, the window is asked only to show them. */
    void changeLabels(String key, List<Map> put, List<String> remove, boolean clear) {
        synchronized (labels) {
            Map<String, Shown> next = new LinkedHashMap<>(clear ? [:] : labels.getOrDefault(key, [:]))
            for (String id : remove)
                next.remove(id.toLowerCase())
            for (Map feature : put)
                next.put(((String) feature.get("id")).toLowerCase(), shown(Objects.read(feature)))
            labels.put(key, next)
        }
        Fx.later("labels over the slide") { refresh() }
    }

    private static Shown shown(PathObject object) {
        Integer packed = object.getColor() ?: object.getPathClass()?.getColor()
        Color color = packed == null ? Color.YELLOW : new Color(packed)
        return new Shown(object.getROI().getShape(), color, object.getPathClass()?.toString() ?: "")
    }

    void setGazeShown(boolean shown) {
        gazeShown = shown
        if (!shown)
            for (Layer layer : layers.values()) {
                layer.gaze = null
                layer.viewer.repaint()
            }
    }

    boolean isGazeShown() {
        return gazeShown
    }

    void setLabelsShown(boolean shown) {
        labelsShown = shown
        refresh()
    }

    boolean isLabelsShown() {
        return labelsShown
    }

    /** They are objects of the images now: on any thread. */
    void clearLabels() {
        synchronized (labels) {
            labels.clear()
        }
        Fx.later("labels over the slide") { refresh() }
    }

    int labelCount(String key) {
        return labels.getOrDefault(key, [:]).size()
    }

    void forget(String key) {
        labels.remove(key)
    }

    /** On the JavaFX thread. */
    @Override
    void close() {
        layers.each { QuPathViewer viewer, Layer layer ->
            viewer.getCustomOverlayLayers().remove(layer)
            viewer.repaint()
        }
        layers.clear()
        labels.clear()
    }
}
