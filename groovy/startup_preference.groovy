/*
 * Tells or sets QuPath's preference for its start-up script, without a window:
 *
 *     QuPath script startup_preference.groovy -a get
 *     QuPath script startup_preference.groovy -a set -a FILE        (an empty FILE: none)
 *
 * 'qpgaze install-hook' runs it, so that QuPath itself writes its preferences on every system.
 */

import qupath.lib.gui.prefs.PathPrefs
import qupath.lib.io.GsonTools

def asked = (binding.hasVariable("args") ? binding.getVariable("args") as List : []) ?: ["get"]
if (asked[0] == "set") {
    PathPrefs.startupScriptProperty().set(asked.size() > 1 && asked[1] ? asked[1] as String : null)
    PathPrefs.savePreferences()
}
def said = [user_path: PathPrefs.userPathProperty().get() ?: "",
            startup_script: PathPrefs.startupScriptProperty().get() ?: ""]
println "QPGAZE " + GsonTools.getInstance(false).toJson(said)
