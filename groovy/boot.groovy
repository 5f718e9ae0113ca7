/*
 * Loads the qpgaze hook beside QuPath's start: run by start.groovy on a thread of its own, with the
 * folder of the hook as 'home'. Compiles the hook's classes where that was not done yet, has them
 * initialised here, and only then asks the JavaFX thread to put the menu up.
 */

import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.CompilerConfiguration
import org.slf4j.LoggerFactory
import qupath.lib.gui.QuPathGUI

import java.security.MessageDigest

def home = binding.getVariable("home") as File
try {
    def loader = hookClasses(new File(home, "hook"), new File(home, "cache"))
    loader.every().each { Class.forName(it, true, loader) }
    loader.loadClass("qpgaze.Hook").getMethod("install", QuPathGUI, java.nio.file.Path)
        .invoke(null, QuPathGUI.getInstance(), home.toPath())
} catch (Throwable e) {
    LoggerFactory.getLogger("qpgaze").error("The qpgaze hook does not start", e)
}


/* The compiled hook: compiled once for this Groovy, Java and these sources, then kept. */
Loaded hookClasses(File sources, File cache) {
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

    List<String> every() {
        return classes.keySet().sort()
    }

    @Override
    protected Class<?> findClass(String name) {
        byte[] code = classes.remove(name)
        if (code == null)
            throw new ClassNotFoundException(name)
        return defineClass(name, code, 0, code.length)
    }
}
