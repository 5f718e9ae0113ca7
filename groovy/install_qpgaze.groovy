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
    println "qpgaze was not found. Somebody has to install it once: see 'Before the first time' in first-steps.md of " +
        "its folder docs. Then run this script again."
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
def answer = run([program, "install-hook", "--user-dir", userFolder, "--files-only", "--json"] + before).said
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

/* The program beside this file, or where installers put programs, on the three systems; null: none that starts. */
String findProgram() {
    boolean windows = System.getProperty("os.name").startsWith("Windows")
    def home = new File(System.getProperty("user.home"))
    def name = windows ? "qpgaze.exe" : "qpgaze"
    def inside = windows ? "Scripts" : "bin"
    def folders = []
    // This file lies in the folder of qpgaze, or inside the environment that it was installed into.
    def here = binding.hasVariable("qupath.script.file") ? binding.getVariable("qupath.script.file") as String : null
    for (def place = here == null ? null : new File(here).getParentFile(); place != null; place = place.getParentFile())
        folders << new File(place, inside) << new File(place, ".venv/${inside}")
    folders.addAll((System.getenv("PATH") ?: "").split(File.pathSeparator).collect { new File(it) })
    folders << new File(home, ".local/bin") // pipx and uv
    ["qpgaze", ".qpgaze", "venv", ".venv", "qpgaze-env"].each { folders << new File(home, "${it}/${inside}") }
    for (base in ["miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", "AppData/Local/miniconda3"])
        folders.addAll(conda(new File(home, base), inside))
    if (windows) {
        def common = System.getenv("PROGRAMDATA") ?: "C:\\ProgramData"
        ["miniconda3", "anaconda3", "miniforge3"].each { folders.addAll(conda(new File(common, it), inside)) }
        for (base in ["AppData/Roaming/Python", "AppData/Local/Programs/Python"]) // pip, for one user
            folders.addAll(within(new File(home, base), inside))
    } else {
        folders << new File("/opt/homebrew/bin") << new File("/usr/local/bin")
        for (base in [new File(home, "Library/Python"), new File("/Library/Frameworks/Python.framework/Versions")])
            folders.addAll(within(base, inside))
    }
    def found = folders.findAll { it.isAbsolute() }.unique().collect { new File(it, name) }.findAll { it.isFile() }
    return found.find { isProgram(it) }?.getPath()
}

/* The programs of a conda, and of its environments. */
List<File> conda(File base, String inside) {
    return [new File(base, inside)] + within(new File(base, "envs"), inside)
}

List<File> within(File base, String inside) {
    return (base.listFiles() ?: []).sort().collect { new File(it, inside) }
}

boolean isProgram(File file) {
    def answer = run([file.getPath(), "--version"])
    return answer.status == 0 && answer.said.trim().startsWith("qpgaze")
}

String askForProgram() {
    def chosen = onFx {
        def chooser = new javafx.stage.FileChooser()
        chooser.setTitle("Where is the program qpgaze?")
        return chooser.showOpenDialog(QuPathGUI.getInstance().getStage())
    }
    if (chosen != null && !isProgram(chosen)) {
        println "${chosen} is not qpgaze, or does not start."
        return null
    }
    return chosen?.getPath()
}

/* Run a program to its end and return its status (-1: it did not start, or not end) and what it said. */
Map run(List<String> line) {
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
            return [status: -1, said: "no answer within 120 s"]
        }
        return [status: process.exitValue(), said: out.getText("UTF-8")]
    } catch (IOException e) {
        return [status: -1, said: e.getMessage() ?: e.toString()]
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
