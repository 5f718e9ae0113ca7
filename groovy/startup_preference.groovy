/*
 * Tells or sets QuPath's preference for its start-up script, without a window:
 *
 *     QuPath script startup_preference.groovy -a get
 *     QuPath script startup_preference.groovy -a set -a FILE        (an empty FILE: none)
 *
 * 'qpgaze install-hook' runs it, so that QuPath itself writes its preferences on every system.
 * QuPath 0.4 names no script: it runs startup.groovy of its user folder where that is switched on,
 * which 'set' does for any FILE.
 */

import qupath.lib.gui.prefs.PathPrefs
import qupath.lib.io.GsonTools

def asked = (binding.hasVariable("args") ? binding.getVariable("args") as List : []) ?: ["get"]
def named = PathPrefs.getMethods().any { it.getName() == "startupScriptProperty" }
if (asked[0] == "set") {
    def file = asked.size() > 1 && asked[1] ? asked[1] as String : null
    if (named)
        PathPrefs.startupScriptProperty().set(file)
    else {
        PathPrefs.runStartupScriptProperty().set(file != null)
        if (file == null) // off is what QuPath takes where nothing stands
            PathPrefs.getUserPreferences().remove("runStartupScript")
    }
    PathPrefs.savePreferences()
}
def said = [user_path: PathPrefs.userPathProperty().get() ?: "",
            startup_script: (named ? PathPrefs.startupScriptProperty().get() : null) ?: "",
            runs_file: named ? null : PathPrefs.runStartupScriptProperty().get()]
println "QPGAZE " + GsonTools.getInstance(false).toJson(said)
