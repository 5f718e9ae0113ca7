package qpgaze

import groovy.transform.CompileStatic

import java.nio.charset.StandardCharsets
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.TimeUnit

/** The qpgaze program: as the recorder, which runs as long as the session, and for its other verbs. */
@CompileStatic
final class Recorder implements AutoCloseable {

    /** Told on a thread of its own. */
    interface Ended {
        void ended(int status, String lastWords)
    }

    /** What a verb said. */
    static final class Answer {
        /** As the program ended; -1 where it did not start or end. */
        final int status
        final String out
        final String err

        Answer(int status, String out, String err) {
            this.status = status
            this.out = out
            this.err = err
        }

        /** Its own words for a person: why it failed, else what it reports. */
        String getWords() {
            String words = (status == 0 || !err ? out : err).trim()
            return words.replaceFirst(/^qpgaze: /, "")
        }

        /** Its report, null where it made none. */
        Map<String, Object> json() {
            int start = out.indexOf("{")
            try {
                Object value = start < 0 ? null : Json.parse(out.substring(start))
                return value instanceof Map ? (Map<String, Object>) value : null
            } catch (WireFault e) {
                return null
            }
        }
    }

    static final String NO_PROGRAM = "The installation names no qpgaze program. Install the menu again."

    private final Settings settings
    private final Ended ended
    private final Set<Process> asked = Collections.synchronizedSet(new HashSet<Process>())
    private volatile Process process

    Recorder(Settings settings, Ended ended) {
        this.settings = settings
        this.ended = ended
    }

    boolean isRunning() {
        return process?.isAlive()
    }

    Path getLogFile() {
        return settings.home.resolve("recorder.log")
    }

    /** Start it; it finds this QuPath by its discovery file. */
    void start(Path hookFile, List<String> more) {
        if (isRunning())
            return
        if (settings.command.isEmpty())
            throw new IOException(NO_PROGRAM)
        List<String> line = settings.command + settings.recordArguments.collect {
            it == "{hook}" ? hookFile.toString() : it
        } + more
        ProcessBuilder builder = builder(line)
        builder.environment().put("QPGAZE_HOOK", hookFile.toString())
        builder.redirectErrorStream(true)
        builder.redirectOutput(logFile.toFile())
        // Its standard input stays open: where it closes, by us or because QuPath is gone, it ends.
        Process started = builder.start()
        process = started
        WireServer.daemon("qpgaze-recorder") {
            int status = started.waitFor()
            if (process.is(started))
                process = null
            ended.ended(status, lastWords())
        }.start()
    }

    private ProcessBuilder builder(List<String> line) {
        ProcessBuilder builder = new ProcessBuilder(line)
        // 'python -m' looks for its program in the folder it stands in first: not in whatever folder
        // QuPath was started from.
        builder.directory(settings.home.toFile())
        builder.environment().put("PYTHONUTF8", "1")
        builder.environment().put("COLUMNS", "400") // a dialog breaks the lines itself
        // QuPath's own Java may set this for itself; Python must not load its libraries.
        builder.environment().remove("LD_LIBRARY_PATH")
        return builder
    }

    /** Have it end; harder where it does not come to it. */
    void stop(long patienceMs) {
        Process running = process
        if (running == null)
            return
        try {
            running.getOutputStream().close()
        } catch (IOException e) {
            Troubles.once("recorder", "its input did not close: ${e.message}")
        }
        WireServer.daemon("qpgaze-recorder-end") {
            if (!running.waitFor(patienceMs, TimeUnit.MILLISECONDS))
                running.destroy()
            if (!running.waitFor(5000, TimeUnit.MILLISECONDS))
                running.destroyForcibly()
        }.start()
    }

    @Override
    void close() {
        stop(2000)
        for (Process other : asked.toList())
            other.destroy()
    }

    /** Run another verb to its end; not on the JavaFX thread. */
    Answer ask(List<String> arguments, long waitS) {
        if (settings.command.isEmpty())
            return new Answer(-1, "", NO_PROGRAM)
        Path out = null, err = null
        Process running = null
        try {
            out = Files.createTempFile("qpgaze-", ".txt")
            err = Files.createTempFile("qpgaze-", ".txt")
            running = builder(settings.command + arguments)
                .redirectOutput(out.toFile()).redirectError(err.toFile()).start()
            asked.add(running)
            running.getOutputStream().close()
            if (!running.waitFor(waitS, TimeUnit.SECONDS)) {
                running.destroy()
                return new Answer(-1, "", "qpgaze did not answer within ${waitS} s.")
            }
            return new Answer(running.exitValue(), text(out), text(err))
        } catch (IOException e) {
            return new Answer(-1, "", "qpgaze cannot be started: ${e.message}. Install the menu again.")
        } finally {
            asked.remove(running)
            for (Path file : [out, err])
                removed(file)
        }
    }

    /** Windows keeps a file that a program, which is just being ended, still holds. */
    private static void removed(Path file) {
        try {
            if (file != null)
                Files.deleteIfExists(file)
        } catch (IOException e) {
            file.toFile().deleteOnExit()
        }
    }

    /** What the recorder said in words before it ended. */
    String lastWords() {
        List<String> words = logLines().findAll { !it.startsWith("{") }
        return words.takeRight(6).join("\n").replaceFirst(/^qpgaze: /, "")
    }

    /** The last thing of a kind (started, status, note, ended) that it said for programs. */
    Map<String, Object> lastSaid(String event) {
        String mark = '"event": "' + event + '"'
        String line = logLines().reverse().find { it.startsWith("{") && it.contains(mark) }
        try {
            return line == null ? null : (Map<String, Object>) Json.parse(line)
        } catch (WireFault e) {
            return null
        }
    }

    private List<String> logLines() {
        try {
            return text(logFile).readLines().findAll { it.trim() }
        } catch (IOException e) {
            return []
        }
    }

    private static String text(Path file) {
        return new String(Files.readAllBytes(file), StandardCharsets.UTF_8)
    }
}
