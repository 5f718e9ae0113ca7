/*
 * Starts the qpgaze hook when QuPath starts. 'qpgaze install-hook' names this file as QuPath's
 * start-up script; another one that was named before runs first, as it always did.
 *
 * QuPath waits for a start-up script, so only a thread is started here: it compiles the hook's
 * classes, then lets the JavaFX thread put the menu up.
 */

import javafx.application.Platform
import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.CompilerConfiguration
import org.slf4j.LoggerFactory
import qupath.lib.gui.QuPathGUI
import qupath.lib.io.GsonTools

import java.security.MessageDigest

def log = LoggerFactory.getLogger("qpgaze")
def qupath = QuPathGUI.getInstance()
def named = binding.hasVariable("qupath.script.file") ? binding.getVariable("qupath.script.file") : null
def home = named != null ? new File(named as String).getParentFile()
    : new File(qupath.lib.gui.prefs.PathPrefs.userPathProperty().get() as String, "qpgaze")

def install = new File(home, "install.json")
def before = install.isFile() ? GsonTools.getInstance().fromJson(install.getText("UTF-8"), Map).startup_before : null
// Run anew by the installer, not by QuPath's start: then the site's script has run already.
def onlyHook = System.clearProperty("qpgaze.only.hook") != null
if (before && !onlyHook) {
    try {
        qupath.runScript(new File(before as String), null)
    } catch (Exception e) {
        log.error("The start-up script {} failed", before, e)
    }
}

def work = {
    try {
        def hook = hookClasses(new File(home, "hook"), new File(home, "cache")).loadClass("qpgaze.Hook")
        Platform.runLater {
            try {
                hook.getMethod("install", QuPathGUI, java.nio.file.Path).invoke(null, qupath, home.toPath())
            } catch (Exception e) {
                log.error("The qpgaze hook does not start", e)
            }
        }
    } catch (Throwable e) {
        log.error("The qpgaze hook cannot be read", e)
    }
}
def thread = new Thread(work, "qpgaze-load")
thread.setDaemon(true)
thread.setPriority(Thread.MIN_PRIORITY)
thread.start()


/* The compiled hook: compiled once for this Groovy, Java and these sources, then kept. */
ClassLoader hookClasses(File sources, File cache) {
    def files = new File(sources, "qpgaze").listFiles().findAll { it.name.endsWith(".groovy") }.sort()
    def digest = MessageDigest.getInstance("SHA-256")
    [GroovySystem.getVersion(), System.getProperty("java.version"), QuPathGUI.getBuildString()].each {
        digest.update("${it}\n".toString().getBytes("UTF-8"))
    }
    files.each { digest.update(it.getBytes()) }
    def compiled = new File(cache, digest.digest().encodeHex().toString().take(24))
    if (!new File(compiled, "complete").isFile()) {
        cache.deleteDir() // what an older version left
        def settings = new CompilerConfiguration()
        settings.setTargetDirectory(compiled)
        settings.setSourceEncoding("UTF-8")
        def unit = new CompilationUnit(settings, null, new GroovyClassLoader(QuPathGUI.classLoader))
        files.each { unit.addSource(it) }
        unit.compile()
        new File(compiled, "complete").setText("", "UTF-8")
    }
    return new Loaded(QuPathGUI.classLoader, compiled)
}

/* All of it is read at once: an upgrade may replace the files while QuPath runs. */
class Loaded extends ClassLoader {

    private final Map<String, byte[]> classes = new HashMap<>()

    Loaded(ClassLoader parent, File folder) {
        super(parent)
        for (file in new File(folder, "qpgaze").listFiles())
            classes.put("qpgaze." + file.getName().replaceFirst(/\.class$/, ""), file.getBytes())
    }

    @Override
    protected Class<?> findClass(String name) {
        byte[] code = classes.remove(name)
        if (code == null)
            throw new ClassNotFoundException(name)
        return defineClass(name, code, 0, code.length)
    }
}
