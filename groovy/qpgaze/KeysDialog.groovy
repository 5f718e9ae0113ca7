package qpgaze

import javafx.geometry.Insets
import javafx.scene.control.ButtonType
import javafx.scene.control.Dialog
import javafx.scene.control.Label
import javafx.scene.control.TextArea
import javafx.scene.control.TextField
import javafx.scene.input.KeyCode
import javafx.scene.input.KeyEvent
import javafx.scene.layout.GridPane
import javafx.stage.Stage

import java.util.function.BiConsumer

/** The small dialog for keys and classes. On the JavaFX thread. */
final class KeysDialog {

    private static final Map<String, String> MEANING = [
        hold: "Held: what I look at meanwhile", toggle: "Begins and ends", undo: "Takes the last label back"]

    private KeysDialog() {}

    /**
     * Show it; `then` is told keys and classes (null: the project's own) when they were chosen.
     */
    static void show(Stage owner, Map<String, String> keys, List<String> classes, List<String> ofProject,
                     BiConsumer<Map<String, String>, List<String>> then) {
        def grid = new GridPane()
        grid.setHgap(10)
        grid.setVgap(8)
        grid.setPadding(new Insets(14))
        def fields = [:]
        int row = 0
        MEANING.each { what, meaning ->
            def field = keyField(keys[what])
            fields[what] = field
            grid.add(new Label(meaning as String), 0, row)
            grid.add(field, 1, row++)
        }
        grid.add(new Label("Classes of the digits 1-9, one a line.\nEmpty: the project's own in their order."), 0, row)
        def area = new TextArea((classes ?: []).join("\n"))
        area.setId("qpgaze-classes")
        area.setPrefRowCount(9)
        area.setPrefColumnCount(22)
        area.setPromptText(ofProject.take(9).join("\n"))
        grid.add(area, 1, row)
        def dialog = new Dialog<ButtonType>()
        dialog.setTitle("qpgaze: keys and classes")
        dialog.getDialogPane().setContent(grid)
        dialog.getDialogPane().getButtonTypes().addAll(ButtonType.OK, ButtonType.CANCEL)
        dialog.initOwner(owner)
        dialog.setOnHidden {
            if (dialog.getResult() == ButtonType.OK)
                accept(fields.collectEntries { what, field -> [(what): field.getUserData()] }, area.getText(), then)
        }
        dialog.show()
    }

    private static void accept(Map<String, String> keys, String text, BiConsumer<Map<String, String>, List<String>> then) {
        def named = text.readLines()*.trim().findAll { it }
        def wrong = problem(keys, named)
        if (wrong)
            Say.trouble("${wrong} Nothing was changed.")
        else
            then.accept(keys, named ?: null)
    }

    /** Why keys and classes cannot be so, null where they can. */
    static String problem(Map<String, String> keys, List<String> classes) {
        if ((keys.values() as Set).size() < keys.size())
            return "Two meanings have the same key."
        if (keys.values().any { it ==~ /(DIGIT|NUMPAD)\d/ })
            return "The digits choose classes: take other keys."
        if (classes.size() > 9)
            return "There are ${classes.size()} classes, but only nine digits."
        if ((classes as Set).size() < classes.size())
            return "A class is named twice."
        return null
    }

    /** A field that takes the key that is pressed in it. */
    private static TextField keyField(String name) {
        def field = new TextField(shown(name))
        field.setEditable(false)
        field.setPrefColumnCount(8)
        field.setUserData(name)
        field.addEventFilter(KeyEvent.KEY_PRESSED) { KeyEvent event ->
            def code = event.getCode()
            if (code in [KeyCode.TAB, KeyCode.ESCAPE, KeyCode.ENTER] || code.isModifierKey())
                return
            field.setUserData(code.name())
            field.setText(shown(code.name()))
            event.consume()
        }
        return field
    }

    private static String shown(String name) {
        try {
            return KeyCode.valueOf(name).getName()
        } catch (IllegalArgumentException e) {
            return name
        }
    }
}
