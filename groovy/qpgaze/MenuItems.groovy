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
    private MenuItem labels
    private Menu classes
    /** What needs the tracker for itself, or would change under a session. */
    private List<MenuItem> before

    MenuItems(QuPathGUI qupath, Hook hook) {
        this.qupath = qupath
        this.hook = hook
    }

    /** Make it: on any thread, for it is in no window yet. */
    void make() {
        menu = new Menu("qpgaze")
        // Another project, or new classes in it: looked at when somebody looks here.
        menu.setOnShowing { if (it.getTarget().is(menu) && hook.sessions.idle) hook.keysChanged() }
        start = item("Start gaze session") { hook.run.start() }
        pause = item("Pause") { hook.run.pause() }
        stop = item("Stop") { hook.run.stop() }
        labels = item("Put labels into the image") { hook.run.putLabelsNow() }
        classes = new Menu("Choose class")
        before = [trackers(), item("Monitor of the eye tracker ...") { hook.setup.chooseMonitor() },
                  item("Calibrate the eye tracker") { hook.setup.calibrate() },
                  item("Measure accuracy") { hook.setup.measure() }]
        menu.getItems().addAll(start, pause, stop, labels, new SeparatorMenuItem(),
            classes, item("Keys and classes ...") { hook.setup.chooseKeys() },
            check("Show gaze", hook.overlays.gazeShown) { hook.showGaze(it) },
            check("Show labels", hook.overlays.labelsShown) { hook.showLabels(it) }, new SeparatorMenuItem())
        menu.getItems().addAll(before)
        menu.getItems().addAll(new SeparatorMenuItem(), item("Check set-up") { hook.setup.check() },
            item("About qpgaze") { hook.setup.about() })
    }

    void install() {
        def extensions = qupath.getMenu(Calls.extensionsTitle(), true)
        extensions.getItems().removeIf { it.getText() == "qpgaze" }
        refresh("idle")
        extensions.getItems().add(menu)
    }

    /** What can be chosen now. */
    void refresh(String state) {
        start.setDisable(state != "idle")
        pause.setDisable(!(state in ["recording", "paused"]))
        pause.setText(state == "paused" ? "Go on" : "Pause")
        stop.setDisable(!(state in ["starting", "recording", "paused", "lost"]))
        labels.setDisable(state in ["starting", "stopping", "labelling"])
        before.each { it.setDisable(state != "idle") }
        fillClasses()
    }

    private void fillClasses() {
        def group = new ToggleGroup()
        // Those of the keys: a list that changes in mid-session changes no digit.
        classes.getItems().setAll(hook.keyLogic.classes.withIndex().collect { String name, int i ->
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
        menu.getItems().setAll(hook.setup.trackers().collect { source, name ->
            def one = new RadioMenuItem(name as String)
            one.setMnemonicParsing(false)
            one.setToggleGroup(group)
            one.setSelected(source == hook.settings.source)
            one.setOnAction { hook.setup.chooseTracker(source as String) }
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
        def extensions = qupath.getMenu(Calls.extensionsTitle(), false)
        extensions?.getItems()?.remove(menu)
        letGo(menu)
    }

    /** JavaFX keeps a menu that was once open until its neighbours are opened again: it must not keep us. */
    private static void letGo(MenuItem item) {
        item.setOnAction(null)
        if (item instanceof Menu) {
            item.setOnShowing(null)
            item.getItems().each { letGo(it) }
            item.getItems().clear()
        }
    }
}
