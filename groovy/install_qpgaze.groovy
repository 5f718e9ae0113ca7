/*
 * Puts the qpgaze menu into QuPath, without a terminal.
 *
 * Drop this file onto QuPath's window (it opens in the script editor) and press Run. It looks for
 * the qpgaze program where pipx, uv, conda and venv put it, asks for it where it finds none, and says
 * what is missing. Running it again renews the menu.
 */

import javafx.application.Platform
import qupath.lib.gui.QuPathGUI
import qupath.lib.gui.prefs.PathPrefs
import qupath.lib.io.GsonTools

import java.util.concurrent.Callable
import java.util.concurrent.FutureTask
import java.util.concurrent.TimeUnit

def qupath = QuPathGUI.getInstance()
if (qupath == null) {
    println "Run this script inside QuPath's window."
    return
}
def program = findProgram() ?: askForProgram()
if (program == null) {
    println "qpgaze was not found. Install it first (see 'Installing' in its guide), then run this script again."
    return
}
println "qpgaze: ${program}"

def userFolder = PathPrefs.userPathProperty().get()
if (!userFolder || !new File(userFolder).isDirectory()) {
    def version = QuPathGUI.getVersion()
    def made = new File(System.getProperty("user.home"), "QuPath/v${version.getMajor()}.${version.getMinor()}")
    made.mkdirs()
    onFx { PathPrefs.userPathProperty().set(made.getAbsolutePath()) }
    userFolder = made.getAbsolutePath()
    println "QuPath had no user folder; it is now ${userFolder}."
}

// QuPath 0.4 names no script: it runs startup.groovy of its user folder.
boolean named = PathPrefs.getMethods().any { it.getName() == "startupScriptProperty" }
def before = named ? ["--startup-before", PathPrefs.startupScriptProperty().get() ?: ""]
    : ["--runs-file", PathPrefs.runStartupScriptProperty().get() as String]
def answer = run([program, "install-hook", "--user-dir", userFolder, "--files-only", "--json"] + before)
def said
try {
    said = GsonTools.getInstance().fromJson(answer.substring(answer.indexOf("{")), Map)
} catch (Exception e) {
    println "qpgaze could not install the menu:\n${answer}"
    return
}
def start = new File(said.folder as String, "start.groovy")
def shown = { qupath.getStage().getProperties().get("qpgaze.hook") }
def hookBefore = onFx(shown)
onFx {
    if (named)
        PathPrefs.startupScriptProperty().set(start.getAbsolutePath())
    else
        PathPrefs.runStartupScriptProperty().set(true)
    PathPrefs.savePreferences()
    // The start-up script of the site has run when QuPath started: only the menu is new.
    System.setProperty("qpgaze.only.hook", "true")
    qupath.runScript(start, null)
}
println comes(shown, hookBefore) ?
    "Done: qpgaze ${said.hook_version} is in the menu Extensions > qpgaze, now and at every start." :
    "qpgaze ${said.hook_version} is installed. Its menu Extensions > qpgaze comes in a moment, and at every start; " +
    "where it does not, look for lines with qpgaze in View > Show log."
if (said.startup_before)
    println "Your start-up script ${said.startup_before} goes on running before it."


/* Whether the menu of the new hook is there, once the thread that loads it is through, or after two minutes. */
boolean comes(Closure shown, Object before) {
    if (Platform.isFxApplicationThread())
        return false // the menu waits for this thread
    long until = System.nanoTime() + 120_000_000_000L
    while (System.nanoTime() < until) {
        boolean loading = Thread.getAllStackTraces().keySet().any { it.getName() == "qpgaze-load" }
        def now = onFx(shown)
        if (now != null && !now.is(before))
            return true
        if (!loading)
            return false
        sleep(250)
    }
    return false
}

/* Where installers put programs, on the three systems; null where there is none that starts. */
String findProgram() {
    boolean windows = System.getProperty("os.name").startsWith("Windows")
    def home = new File(System.getProperty("user.home"))
    def name = windows ? "qpgaze.exe" : "qpgaze"
    def inside = windows ? "Scripts" : "bin"
    def folders = (System.getenv("PATH") ?: "").split(File.pathSeparator).collect { new File(it) }
        .findAll { it.isAbsolute() }
    folders << new File(home, ".local/bin") // pipx and uv
    ["qpgaze", ".qpgaze", "venv", ".venv", "qpgaze-env"].each { folders << new File(home, "${it}/${inside}") }
    for (base in ["miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", "AppData/Local/miniconda3"]) {
        def conda = new File(home, base)
        folders << new File(conda, inside)
        new File(conda, "envs").listFiles()?.sort()?.each { folders << new File(it, inside) }
    }
    folders << new File("/opt/homebrew/bin") << new File("/usr/local/bin")
    def found = folders.collect { new File(it, name) }.findAll { it.isFile() }
    return found.find { run([it.getPath(), "--version"]).contains("qpgaze") }?.getPath()
}

String askForProgram() {
    def chosen = onFx {
        def chooser = new javafx.stage.FileChooser()
        chooser.setTitle("Where is the program qpgaze?")
        return chooser.showOpenDialog(QuPathGUI.getInstance().getStage())
    }
    return chosen == null || !run([chosen.getPath(), "--version"]).contains("qpgaze") ? null : chosen.getPath()
}

/* Run a program to its end and return what it said. */
String run(List<String> line) {
    def out = File.createTempFile("qpgaze", ".txt")
    try {
        def builder = new ProcessBuilder(line.collect { it as String })
        // Not where QuPath was started: what lies there might be taken for qpgaze.
        builder.directory(new File(System.getProperty("user.home")))
        builder.environment().put("PYTHONUTF8", "1")
        builder.redirectErrorStream(true).redirectOutput(out)
        def process = builder.start()
        process.getOutputStream().close()
        if (!process.waitFor(120, TimeUnit.SECONDS)) {
            process.destroy()
            return "no answer within 120 s"
        }
        return out.getText("UTF-8")
    } catch (IOException e) {
        return e.getMessage()
    } finally {
        out.delete()
    }
}

def onFx(Closure work) {
    if (Platform.isFxApplicationThread())
        return work.call()
    def task = new FutureTask({ work.call() } as Callable)
    Platform.runLater(task)
    return task.get()
}
