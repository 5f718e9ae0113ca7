import groovy.lang.GroovyClassLoader;
import groovy.lang.GroovySystem;
import groovy.transform.TypeChecked;
import java.io.File;
import java.io.IOException;
import java.io.StringWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.codehaus.groovy.control.CompilationUnit;
import org.codehaus.groovy.control.CompilerConfiguration;
import org.codehaus.groovy.control.MultipleCompilationErrorsException;
import org.codehaus.groovy.control.Phases;
import org.codehaus.groovy.control.customizers.ASTTransformationCustomizer;
import org.codehaus.groovy.control.messages.Message;
import org.codehaus.groovy.control.messages.SyntaxErrorMessage;

/*
 * Compiles the scripts that run inside QuPath, without a QuPath:
 *
 *     java -cp JARS Build.java OUT QUPATH GROOVY CHECKS
 *
 * QUPATH is the folder of stubs (one file a package, see README.md) or the folder of a real QuPath's
 * jars. Without GROOVY and CHECKS only the stubs are compiled. GROOVY is the folder of the scripts, CHECKS that of the programs which run on them. Into OUT
 * go "stubs", "classes" and "checks". Each thing wrong is one line "ERROR ..." on standard output.
 */
public class Build {

    /** What type checking says of a call or property that a class of QuPath's or JavaFX's lacks. */
    private static final Pattern LACKS = Pattern.compile(
        "Cannot find matching (method|constructor) (qupath|javafx)\\..*"
            + "|No such property: .* for [Cc]lass.* (qupath|javafx)\\..*", Pattern.DOTALL);

    /** Calls that some QuPaths lack, and that the hook asks for before it makes them. */
    static final Set<String> LATER = Set.of(
        "qupath.lib.gui.prefs.PathPrefs#getUserPreferences()",
        "qupath.lib.gui.prefs.PathPrefs#runStartupScriptProperty()",
        "qupath.lib.gui.prefs.PathPrefs#startupScriptProperty()",
        "qupath.lib.objects.PathObject#getMetadata()");

    private static final Set<String> SAID = new HashSet<>();

    public static void main(String[] given) throws IOException {
        Path out = Path.of(given[0]);
        Path qupath = Path.of(given[1]);
        List<String> known;
        if (files(qupath, ".jar").isEmpty()) {
            known = List.of(out.resolve("stubs").toString());
            compileStubs(files(qupath, ".java"), out.resolve("stubs"));
        } else
            known = files(qupath, ".jar").stream().map(Path::toString).collect(Collectors.toList());
        if (given.length == 2)
            System.exit(SAID.isEmpty() ? 0 : 1);
        List<Path> classes = files(Path.of(given[2], "qpgaze"), ".groovy");
        List<Path> scripts = files(Path.of(given[2]), ".groovy");
        compile(classes, out.resolve("classes"), known);
        for (Path script : scripts) // each is a world of its own
            compile(List.of(script), out.resolve("scripts").resolve(script.getFileName().toString()), known);
        List<String> withHook = new ArrayList<>(known);
        withHook.add(out.resolve("classes").toString());
        if (SAID.isEmpty()) // else they would complain of all that is missing
            compile(files(Path.of(given[3]), ".groovy"), out.resolve("checks"), withHook);
        checkCalls(classes, known);
        for (Path script : scripts)
            checkCalls(List.of(script), known);
        trySpoilt(known);
        System.out.println("Groovy " + GroovySystem.getVersion() + ": " + classes.size() + " classes, "
            + scripts.size() + " scripts");
        System.exit(SAID.isEmpty() ? 0 : 1);
    }

    private static List<Path> files(Path folder, String end) throws IOException {
        try (Stream<Path> all = Files.list(folder)) {
            return all.filter(p -> p.getFileName().toString().endsWith(end)).sorted().collect(Collectors.toList());
        }
    }

    private static void error(String text) {
        String line = "ERROR " + text.strip().replaceAll("\\s*\\R\\s*", " | ");
        if (SAID.add(line))
            System.out.println(line);
    }

    private static void compile(List<Path> sources, Path out, List<String> known) throws IOException {
        Files.createDirectories(out);
        CompilerConfiguration settings = settings();
        settings.setTargetDirectory(out.toFile());
        CompilationUnit unit = unit(settings, known);
        for (Path source : sources)
            unit.addSource(source.toFile());
        errors(unit, Phases.ALL).forEach(Build::error);
    }

    /**
     * Most of the hook is compiled statically: there the compiler itself finds a misspelt call. In what
     * is dynamic, type checking finds it where the type is known; all else that it says is left out.
     */
    private static void checkCalls(List<Path> sources, List<String> known) {
        CompilationUnit unit = checked(known);
        for (Path source : sources)
            unit.addSource(source.toFile());
        lacking(unit).forEach(Build::error);
    }

    private static CompilationUnit checked(List<String> known) {
        CompilerConfiguration settings = settings();
        settings.addCompilationCustomizers(new ASTTransformationCustomizer(TypeChecked.class));
        return unit(settings, known);
    }

    private static List<String> lacking(CompilationUnit unit) {
        return errors(unit, Phases.INSTRUCTION_SELECTION).stream()
            .filter(text -> LACKS.matcher(text).find() && LATER.stream().noneMatch(text::contains))
            .collect(Collectors.toList());
    }

    /** Misspelt on purpose: who finds nothing here would find nothing elsewhere. */
    private static void trySpoilt(List<String> known) {
        String head = "import qupath.lib.gui.viewer.QuPathViewer\n";
        String method = "class Spoilt { double of(QuPathViewer v) { v.getDownsampelFactor() } }";
        CompilationUnit compiled = unit(settings(), known);
        compiled.addSource("Spoilt.groovy", head + "@groovy.transform.CompileStatic " + method);
        CompilationUnit checked = checked(known);
        checked.addSource("Spoilt.groovy", head + method);
        boolean found = String.join("", errors(compiled, Phases.ALL)).contains("getDownsampelFactor")
            && String.join("", lacking(checked)).contains("getDownsampelFactor");
        if (!found)
            error("A misspelt call was not found.");
    }

    private static CompilerConfiguration settings() {
        CompilerConfiguration settings = new CompilerConfiguration();
        settings.setSourceEncoding("UTF-8");
        settings.setTolerance(10_000);
        return settings;
    }

    private static CompilationUnit unit(CompilerConfiguration settings, List<String> known) {
        GroovyClassLoader loader = new GroovyClassLoader(Build.class.getClassLoader(), settings);
        for (String path : known)
            loader.addClasspath(path);
        return new CompilationUnit(settings, null, loader);
    }

    private static List<String> errors(CompilationUnit unit, int phase) {
        List<String> found = new ArrayList<>();
        try {
            unit.compile(phase);
        } catch (MultipleCompilationErrorsException e) {
            for (Message message : e.getErrorCollector().getErrors()) {
                if (message instanceof SyntaxErrorMessage)
                    found.add(((SyntaxErrorMessage) message).getCause().getMessage() + " ("
                        + new File(((SyntaxErrorMessage) message).getCause().getSourceLocator()).getName() + ")");
                else {
                    StringWriter text = new StringWriter();
                    message.write(new java.io.PrintWriter(text, true));
                    found.add(text.toString());
                }
            }
        }
        return found;
    }

    /** One file holds the public classes of a package, which javac allows where it is told so. */
    private static void compileStubs(List<Path> sources, Path out) throws IOException {
        Files.createDirectories(out);
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        List<JavaFileObject> units = new ArrayList<>();
        for (Path source : sources)
            units.add(new Package(source.toUri(), Files.readString(source, StandardCharsets.UTF_8)));
        StringWriter said = new StringWriter();
        List<String> options = List.of("-proc:none", "-nowarn", "-Xlint:none", "-d", out.toString(),
            "-classpath", System.getProperty("java.class.path"));
        if (!compiler.getTask(said, null, null, options, null, units).call())
            for (String line : said.toString().split("\\R"))
                error(line);
    }

    private static final class Package extends SimpleJavaFileObject {

        private final String text;

        Package(URI place, String text) {
            super(place, Kind.SOURCE);
            this.text = text;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return text;
        }

        @Override
        public boolean isNameCompatible(String name, Kind kind) {
            return true;
        }
    }
}
