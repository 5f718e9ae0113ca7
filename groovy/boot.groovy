/*
 * Loads the qpgaze hook beside QuPath's start: run by start.groovy on a thread of its own, with the
 * folder of the hook as 'home'. Compiles the hook's classes where that was not done yet, has them
 * initialised here, and only then asks the JavaFX thread to put the menu up.
 *
 * A QuPath may lack a call that a class makes: that class is compiled once more without its types, so
 * that only the call itself fails when its turn comes, and what lacks stands under Check set-up.
 */

import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.MultipleCompilationErrorsException
import org.codehaus.groovy.control.messages.SyntaxErrorMessage
import org.slf4j.LoggerFactory
import qupath.lib.gui.QuPathGUI

import java.security.MessageDigest

def home = binding.getVariable("home") as File
try {
    def loader = hookClasses(new File(home, "hook"), new File(home, "cache"))
    loader.every().each { Class.forName(it, true, loader) }
    loader.lacks.each { where, what ->
        loader.loadClass("qpgaze.Troubles").once(where, "this QuPath has no such call (${what})".toString())
    }
    loader.loadClass("qpgaze.Hook").getMethod("install", QuPathGUI, java.nio.file.Path)
        .invoke(null, QuPathGUI.getInstance(), home.toPath())
} catch (Throwable e) {
    LoggerFactory.getLogger("qpgaze").error("The qpgaze hook does not start", e)
    def why = e instanceof java.lang.reflect.InvocationTargetException ? e.getCause() : e
    def words = (why.getMessage() ?: why.toString()).replaceFirst('[.]$', '')
    say(why instanceof MultipleCompilationErrorsException || why instanceof LinkageError ?
        "qpgaze does not work with this version of QuPath: a newer qpgaze may. QuPath itself is as it always is." :
        "qpgaze did not start: ${words}. QuPath itself is as it always is.")
}

/* The class of notices moved between QuPath 0.4 and 0.5. */
void say(String text) {
    for (name in ["qupath.fx.dialogs.Dialogs", "qupath.lib.gui.dialogs.Dialogs"]) {
        try {
            Class.forName(name, true, QuPathGUI.classLoader).showErrorNotification("qpgaze", text)
            return
        } catch (ClassNotFoundException e) {
            LoggerFactory.getLogger("qpgaze").debug("no {}", e.getMessage())
        }
    }
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
        forgetOld(cache)
        // Another QuPath of the same user folder may be at it as well: it is one's own until it is whole.
        def part = new File(cache, "${compiled.name}.part-${ProcessHandle.current().pid()}")
        part.deleteDir()
        def lacks = [:]
        while (!compile(files, part, lacks))
            part.deleteDir()
        new File(part, "complete").setText(lacks.collect { where, what -> "${where}\t${what}" }.join("\n"), "UTF-8")
        if (!new File(compiled, "complete").isFile())
            compiled.deleteDir() // an older version left it half done
        if (!part.renameTo(compiled) && !new File(compiled, "complete").isFile())
            return new Loaded(QuPathGUI.classLoader, part)
        part.deleteDir()
    }
    new File(compiled, "complete").setLastModified(System.currentTimeMillis())
    return new Loaded(QuPathGUI.classLoader, compiled)
}

/* What no QuPath has used for a month, and what one has left half done. */
void forgetOld(File cache) {
    long now = System.currentTimeMillis()
    for (folder in cache.listFiles()) {
        def whole = new File(folder, "complete")
        long used = whole.isFile() ? whole.lastModified() : folder.lastModified()
        if (now - used > (folder.name.contains(".part-") || !whole.isFile() ? 1L : 30L) * 86_400_000L)
            folder.deleteDir()
    }
}

/* Compile; false where it is to be tried again without the types of the classes that `lacks` names now. */
boolean compile(List<File> files, File compiled, Map<String, String> lacks) {
    def settings = new CompilerConfiguration()
    settings.setTargetDirectory(compiled)
    settings.setSourceEncoding("UTF-8")
    def unit = new CompilationUnit(settings, null, new GroovyClassLoader(QuPathGUI.classLoader))
    for (file in files)
        if (lacks.containsKey(file.getName()))
            unit.addSource(file.getName(), file.getText("UTF-8").replaceAll(/@CompileStatic\b/, ""))
        else
            unit.addSource(file)
    try {
        unit.compile()
        return true
    } catch (MultipleCompilationErrorsException e) {
        def fresh = [:]
        for (error in e.getErrorCollector().getErrors().findAll { it instanceof SyntaxErrorMessage }) {
            def where = new File(error.getCause().getSourceLocator()).getName()
            if (!lacks.containsKey(where))
                fresh.putIfAbsent(where, error.getCause().getOriginalMessage().readLines()[0]
                    .replaceFirst(/^\[Static type checking\] - /, "").replaceFirst(/\. Please check.*/, ""))
        }
        if (fresh.isEmpty())
            throw e
        LoggerFactory.getLogger("qpgaze").warn("qpgaze: this QuPath lacks what {} need", fresh)
        lacks.putAll(fresh)
        return false
    }
}

/* All of it is read at once: an upgrade may replace the files while QuPath runs. */
class Loaded extends ClassLoader {

    private final Map<String, byte[]> classes = new HashMap<>()
    final Map<String, String> lacks = new TreeMap<>()

    Loaded(ClassLoader parent, File folder) {
        super(parent)
        for (file in new File(folder, "qpgaze").listFiles())
            classes.put("qpgaze." + file.getName().replaceFirst(/\.class$/, ""), file.getBytes())
        for (line in new File(folder, "complete").readLines("UTF-8").findAll { it.contains("\t") })
            lacks.put(line.split("\t")[0], line.split("\t")[1])
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
