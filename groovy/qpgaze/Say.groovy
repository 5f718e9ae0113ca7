package qpgaze

import org.slf4j.LoggerFactory

/** Words for the person: dialogs and notices of QuPath's own, on the JavaFX thread. */
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
        // Later, so that whoever found the trouble goes on first: the dialog waits for a click.
        javafx.application.Platform.runLater {
            Troubles.attempt("dialogs") { dialogs().showErrorMessage("qpgaze", text) }
        }
    }

    static void message(String title, String text) {
        javafx.application.Platform.runLater {
            Troubles.attempt("dialogs") { dialogs().showPlainMessage(title, text) }
        }
    }
}
