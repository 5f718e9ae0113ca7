package qpgaze

import groovy.transform.CompileStatic

import java.nio.charset.StandardCharsets
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.TimeUnit

/** The recorder's process: qpgaze itself, started from the menu, ended with the session. */
@CompileStatic
final class Recorder implements AutoCloseable {

    /** Told on a thread of its own. */
    interface Ended {
        void ended(int status, String lastWords)
    }

    private final Settings settings
    private final Ended ended
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
            throw new IOException("The installation names no qpgaze program. Run 'qpgaze install-hook' again.")
        List<String> line = settings.command + settings.recordArguments.collect {
            it == "{hook}" ? hookFile.toString() : it
        } + more
        ProcessBuilder builder = new ProcessBuilder(line)
        builder.environment().put("QPGAZE_HOOK", hookFile.toString())
        builder.environment().put("PYTHONUTF8", "1")
        // QuPath's own Java may set these for itself; Python must not load its libraries.
        builder.environment().remove("LD_LIBRARY_PATH")
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
    }

    /** Run another verb to its end and return what it said; not on the JavaFX thread. */
    String ask(List<String> arguments, int waitS) {
        if (settings.command.isEmpty())
            return "The installation names no qpgaze program. Run 'qpgaze install-hook' again."
        Path out = Files.createTempFile("qpgaze-", ".txt")
        try {
            ProcessBuilder builder = new ProcessBuilder(settings.command + arguments)
            builder.environment().put("PYTHONUTF8", "1")
            builder.redirectErrorStream(true).redirectOutput(out.toFile())
            Process asked = builder.start()
            asked.getOutputStream().close()
            if (!asked.waitFor(waitS, TimeUnit.SECONDS)) {
                asked.destroy()
                return "qpgaze did not answer within ${waitS} s."
            }
            return new String(Files.readAllBytes(out), StandardCharsets.UTF_8).trim()
        } catch (IOException e) {
            return "qpgaze cannot be started: ${e.message}"
        } finally {
            Files.deleteIfExists(out)
        }
    }

    private String lastWords() {
        try {
            List<String> lines = new String(Files.readAllBytes(logFile), StandardCharsets.UTF_8).readLines()
            return lines.findAll { it.trim() && !it.startsWith("{") }.takeRight(6).join("\n")
        } catch (IOException e) {
            return ""
        }
    }
}
