package qpgaze

import javafx.application.Platform
import javafx.scene.control.Alert
import javafx.scene.control.ButtonType
import javafx.scene.layout.Region
import org.slf4j.LoggerFactory
import qupath.lib.gui.QuPathGUI

import java.util.function.Consumer

/** Words for the person: dialogs and notices, on the JavaFX thread; nobody waits for an answer. */
final class Say {

    private static final log = LoggerFactory.getLogger("qpgaze")
    private static Class dialogs

    private Say() {}

    /** The class moved between 0.4 and 0.5. */
    private static Class dialogs() {
        if (dialogs == null)
            for (name in ["qupath.fx.dialogs.Dialogs", "qupath.lib.gui.dialogs.Dialogs"]) {
                try {
                    dialogs = Class.forName(name, true, Say.classLoader)
                    break
                } catch (ClassNotFoundException e) {
                    log.debug("qpgaze: no {}", e.message)
                }
            }
        return dialogs
    }

    static void notice(String text) {
        log.info("qpgaze: {}", text)
        Fx.later("notices") { dialogs().showInfoNotification("qpgaze", text) }
    }

    static void warning(String text) {
        log.warn("qpgaze: {}", text)
        Fx.later("notices") { dialogs().showWarningNotification("qpgaze", text) }
    }

    static void trouble(String text) {
        log.warn("qpgaze: {}", text)
        open(Alert.AlertType.ERROR, "qpgaze", text, ["OK"], null)
    }

    static void message(String title, String text) {
        open(Alert.AlertType.INFORMATION, title, text, ["OK"], null)
    }

    /** Ask; `then` is told the words of the button, null where the dialog was closed without one. */
    static void ask(String title, String text, List<String> buttons, Consumer<String> then) {
        open(Alert.AlertType.CONFIRMATION, title, text, buttons, then)
    }

    private static void open(Alert.AlertType type, String title, String text, List<String> buttons,
                             Consumer<String> then) {
        // Later, so that whoever found the trouble goes on first.
        Platform.runLater {
            Troubles.attempt("dialogs") {
                def last = buttons.size() - 1
                def types = buttons.withIndex().collect { String word, int i ->
                    // The last one is what Esc means.
                    new ButtonType(word, i == 0 ? javafx.scene.control.ButtonBar.ButtonData.OK_DONE
                        : i == last ? javafx.scene.control.ButtonBar.ButtonData.CANCEL_CLOSE
                        : javafx.scene.control.ButtonBar.ButtonData.OTHER)
                }
                def alert = new Alert(type, brief(text), types as ButtonType[])
                alert.setTitle(title)
                alert.setHeaderText(null)
                alert.setResizable(true)
                alert.getDialogPane().setMinHeight(Region.USE_PREF_SIZE)
                alert.getDialogPane().setPrefWidth(560)
                def stage = QuPathGUI.getInstance()?.getStage()
                if (stage != null)
                    alert.initOwner(stage)
                if (then != null)
                    alert.setOnHidden { then.accept(alert.getResult()?.getText()) }
                alert.show()
            }
        }
    }

    /** A dialog higher than the screen has no button to press. */
    private static String brief(String text) {
        def lines = text.readLines()
        if (lines.size() > 24)
            log.info("qpgaze: {}", text)
        def kept = lines.size() > 24 ? lines.take(23) + ["... (${lines.size() - 23} more lines are in QuPath's log)".toString()] : lines
        def whole = kept.join("\n")
        return whole.length() > 3000 ? whole.take(3000) + " ..." : whole
    }
}
