package qpgaze

import javafx.scene.control.CheckMenuItem
import javafx.scene.control.Menu
import javafx.scene.control.MenuItem
import javafx.scene.control.RadioMenuItem
import javafx.scene.control.SeparatorMenuItem
import javafx.scene.control.ToggleGroup
import qupath.lib.gui.QuPathGUI

/** The menu Extensions > qpgaze. On the JavaFX thread only. */
final class MenuItems implements AutoCloseable {

    private final QuPathGUI qupath
    private final Hook hook
    private Menu menu
    private MenuItem start
    private MenuItem pause
    private MenuItem stop
    private Menu classes

    MenuItems(QuPathGUI qupath, Hook hook) {
        this.qupath = qupath
        this.hook = hook
    }

    void install() {
        def extensions = qupath.getMenu("Extensions", true)
        extensions.getItems().removeIf { it.getText() == "qpgaze" }
        menu = new Menu("qpgaze")
        start = item("Start gaze session") { hook.startSession() }
        pause = item("Pause") { hook.pauseSession() }
        stop = item("Stop") { hook.stopSession() }
        classes = new Menu("Choose class")
        def gaze = check("Show gaze", hook.overlays.gazeShown) { hook.showGaze(it) }
        def labels = check("Show labels", hook.overlays.labelsShown) { hook.showLabels(it) }
        menu.getItems().addAll(start, pause, stop, new SeparatorMenuItem(),
            classes, trackers(), gaze, labels, new SeparatorMenuItem(),
            item("Calibrate the eye tracker") { hook.control("calibrate") },
            item("Measure accuracy") { hook.control("validate") },
            new SeparatorMenuItem(),
            item("Check set-up") { hook.checkSetup() },
            item("About qpgaze") { hook.about() })
        extensions.getItems().add(menu)
        refresh("idle")
    }

    /** What can be chosen now. */
    void refresh(String state) {
        start.setDisable(state != "idle")
        pause.setDisable(!(state in ["recording", "paused"]))
        pause.setText(state == "paused" ? "Go on" : "Pause")
        stop.setDisable(!(state in ["starting", "recording", "paused"]))
        fillClasses()
    }

    private void fillClasses() {
        def group = new ToggleGroup()
        classes.getItems().setAll(hook.classes().take(9).withIndex().collect { String name, int i ->
            def one = new RadioMenuItem("${i + 1}  ${name}".toString())
            one.setMnemonicParsing(false)
            one.setToggleGroup(group)
            one.setSelected(name == hook.keyLogic.current)
            one.setOnAction { hook.pickClass(name) }
            return one
        })
        classes.setDisable(classes.getItems().isEmpty())
    }

    private Menu trackers() {
        def group = new ToggleGroup()
        def menu = new Menu("Eye tracker")
        def known = [tobii: "Tobii", gazepoint: "Gazepoint", lsl: "Lab Streaming Layer", mouse: "Mouse (to practise)"]
        if (!known.containsKey(hook.settings.source))
            known[hook.settings.source] = hook.settings.source
        menu.getItems().setAll(known.collect { source, name ->
            def one = new RadioMenuItem(name as String)
            one.setToggleGroup(group)
            one.setSelected(source == hook.settings.source)
            one.setOnAction { hook.settings.keep("source", source) }
            return one
        })
        return menu
    }

    private static MenuItem item(String text, Closure work) {
        def item = new MenuItem(text)
        item.setOnAction { Troubles.attempt(text, work) }
        return item
    }

    private static CheckMenuItem check(String text, boolean on, Closure work) {
        def item = new CheckMenuItem(text)
        item.setSelected(on)
        item.setOnAction { Troubles.attempt(text) { work.call(item.isSelected()) } }
        return item
    }

    @Override
    void close() {
        def extensions = qupath.getMenu("Extensions", false)
        extensions?.getItems()?.remove(menu)
    }
}
