package qpgaze

import javafx.geometry.Pos
import javafx.scene.Scene
import javafx.scene.control.Alert
import javafx.scene.control.ButtonBar
import javafx.scene.control.ButtonType
import javafx.scene.control.Label
import javafx.scene.control.TextInputDialog
import javafx.scene.layout.StackPane
import javafx.stage.Modality
import javafx.stage.Screen
import javafx.stage.Stage
import javafx.stage.StageStyle

import java.util.function.Consumer

/** Asks which monitor carries the eye tracker: a number on each, and a button for each number. */
final class Monitors {

    private static final double SIZE = 240

    private final Stage owner
    private final List<Stage> numbers = []

    Monitors(Stage owner) {
        this.owner = owner
    }

    /** Ask; `then` is told number, bounds in QuPath's pixels and scale. On the JavaFX thread. */
    void choose(Consumer<Map<String, Object>> then) {
        def screens = Screen.getScreens().toList()
        screens.eachWithIndex { Screen screen, int i -> showNumber(screen, i + 1) }
        def buttons = (1..screens.size()).collect { new ButtonType("${it}".toString(), ButtonBar.ButtonData.OTHER) }
        def none = new ButtonType("Cancel", ButtonBar.ButtonData.CANCEL_CLOSE)
        def alert = new Alert(Alert.AlertType.CONFIRMATION,
            "Which number do you see on the monitor that carries the eye tracker?\n\n" +
            screens.withIndex().collect { Screen screen, int i -> describe(screen, i + 1) }.join("\n"),
            (buttons + none) as ButtonType[])
        alert.setTitle("qpgaze: monitor")
        alert.setHeaderText(null)
        alert.initOwner(owner)
        alert.initModality(Modality.WINDOW_MODAL)
        alert.setOnHidden {
            close()
            int chosen = buttons.indexOf(alert.getResult())
            if (chosen >= 0)
                then.accept(said(screens[chosen], chosen + 1))
        }
        alert.show()
    }

    /** Ask how large a monitor is that does not say so itself; `then` is told millimetres. */
    void askSize(String why, Consumer<List<String>> then) {
        def dialog = new TextInputDialog()
        dialog.setTitle("qpgaze: size of the monitor")
        dialog.setHeaderText(null)
        dialog.setContentText("${why}\n\nMeasure its lit area with a ruler: width x height in millimetres,\n" +
            "such as 527 x 296.")
        dialog.initOwner(owner)
        dialog.setOnHidden {
            def found = (dialog.getResult() ?: "") =~ /(\d+(?:[.,]\d+)?)\s*\D+\s*(\d+(?:[.,]\d+)?)/
            if (found.find())
                then.accept([found.group(1).replace(",", "."), found.group(2).replace(",", ".")])
            else if (dialog.getResult() != null)
                Say.trouble("'${dialog.getResult()}' is no size: expected two numbers, such as 527 x 296. " +
                    "No monitor was chosen.")
        }
        dialog.show()
    }

    static String describe(Screen screen, int number) {
        def b = screen.getBounds()
        return "${number}: ${b.getWidth() as int} x ${b.getHeight() as int} at ${b.getMinX() as int}, " +
            "${b.getMinY() as int} (${Math.round(screen.getOutputScaleX() * 100)} %)"
    }

    private static Map<String, Object> said(Screen screen, int number) {
        def b = screen.getBounds()
        return [number: number, bounds: [b.getMinX(), b.getMinY(), b.getWidth(), b.getHeight()],
                scale: screen.getOutputScaleX()]
    }

    private void showNumber(Screen screen, int number) {
        def label = new Label("${number}".toString())
        label.setStyle("-fx-font-size: 150px; -fx-font-weight: bold; -fx-text-fill: white;")
        def pane = new StackPane(label)
        pane.setAlignment(Pos.CENTER)
        pane.setStyle("-fx-background-color: #1a5276;")
        def stage = new Stage(StageStyle.UNDECORATED)
        stage.initOwner(owner)
        stage.setScene(new Scene(pane, SIZE, SIZE))
        def b = screen.getBounds()
        stage.setX(b.getMinX() + 40)
        stage.setY(b.getMinY() + 40)
        stage.show()
        numbers << stage
    }

    private void close() {
        numbers*.close()
        numbers.clear()
    }
}
