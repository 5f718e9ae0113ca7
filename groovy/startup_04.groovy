/*
 * qpgaze: QuPath 0.4 runs this file, startup.groovy of its user folder, when it starts.
 * 'qpgaze install-hook --uninstall' takes it away and brings back the one that was here before.
 */

def home = new File(qupath.lib.gui.prefs.PathPrefs.userPathProperty().get() as String, "qpgaze")
new GroovyShell(qupath.lib.gui.QuPathGUI.classLoader).evaluate(new File(home, "start.groovy"))
