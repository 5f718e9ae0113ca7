package qpgaze

import groovy.transform.CompileStatic
import javafx.animation.PauseTransition
import javafx.geometry.Insets
import javafx.geometry.Pos
import javafx.scene.control.Label
import javafx.scene.layout.StackPane
import javafx.util.Duration
import qupath.lib.gui.viewer.QuPathViewer

/** One line at the lower edge of each viewer while a gaze session runs. On the JavaFX thread only. */
@CompileStatic
final class StatusLine implements AutoCloseable {

    private final Map<QuPathViewer, Label> labels = new LinkedHashMap<>()
    private final PauseTransition pause = new PauseTransition(Duration.millis(1500))
    private String text = ""
    private String flash = ""

    StatusLine() {
        pause.setOnFinished {
            flash = ""
            write()
        }
    }

    /** Show this text in these viewers; an empty one takes the line away. */
    void show(List<QuPathViewer> viewers, String text) {
        this.text = text
        for (QuPathViewer gone : labels.keySet().findAll { !text || !viewers.contains(it) })
            remove(gone)
        if (text)
            for (QuPathViewer viewer : viewers)
                if (!labels.containsKey(viewer))
                    add(viewer)
        write()
    }

    /** Show for a moment which key was taken. */
    void flash(String text) {
        flash = text
        write()
        pause.playFromStart()
    }

    private void write() {
        String whole = flash ? "${text}   [ ${flash} ]".toString() : text
        for (Label label : labels.values())
            label.setText(whole)
    }

    private void add(QuPathViewer viewer) {
        Label label = new Label()
        label.setMouseTransparent(true)
        label.getProperties().put(Covers.KIND, "status")
        label.setStyle("-fx-background-color: rgba(0,0,0,0.6); -fx-text-fill: white; -fx-padding: 4 10 4 10; " +
            "-fx-background-radius: 4;")
        // The viewer's own pane is a StackPane, which places it; another kind would leave it at the top.
        StackPane.setAlignment(label, Pos.BOTTOM_CENTER)
        StackPane.setMargin(label, new Insets(0, 0, 12, 0))
        viewer.getView().getChildren().add(label)
        labels.put(viewer, label)
    }

    private void remove(QuPathViewer viewer) {
        Label label = labels.remove(viewer)
        viewer.getView().getChildren().remove(label)
    }

    @Override
    void close() {
        pause.stop()
        for (QuPathViewer viewer : labels.keySet().toList())
            remove(viewer)
    }
}
