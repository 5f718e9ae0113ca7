/*
 * Starts the qpgaze hook when QuPath starts. 'qpgaze install-hook' names this file as QuPath's
 * start-up script; another one that was named before (startup_before.txt) runs first, as always.
 *
 * QuPath waits for a start-up script: this one only starts a thread, which runs boot.groovy.
 */

def gui = qupath.lib.gui.QuPathGUI.getInstance()
def named = binding.hasVariable("qupath.script.file") ? binding.getVariable("qupath.script.file") as String : null
def home = named != null ? new File(named).getParentFile()
    : new File(qupath.lib.gui.prefs.PathPrefs.userPathProperty().get() as String, "qpgaze")
def site = new File(home, "startup_before.txt")
// Run anew by the installer, not by QuPath's start: then the site's script has run already.
if (System.clearProperty("qpgaze.only.hook") == null && site.isFile()) {
    def before = new File(site.getText("UTF-8").trim())
    try {
        gui.runScript(before, null)
    } catch (Exception e) {
        org.slf4j.LoggerFactory.getLogger("qpgaze").error("The start-up script {} failed", before, e)
    }
}
def boot = new Thread({
    new GroovyShell(gui.class.classLoader, new Binding([home: home])).evaluate(new File(home, "boot.groovy"))
} as Runnable, "qpgaze-load")
boot.setDaemon(true)
boot.setPriority(Thread.MIN_PRIORITY)
boot.start()
