package checks

import qpgaze.Json
import qpgaze.Recorder
import qpgaze.Settings

import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

/** The programs that the hook starts. */
class ProgramChecks {

    private final Path home = Files.createTempDirectory("qpgaze-check")
    private final LinkedBlockingQueue<List> ends = new LinkedBlockingQueue<>()

    private Recorder recorder(List<String> command) {
        home.resolve("install.json").toFile().setText(Json.text([command: command]), "UTF-8")
        return new Recorder(new Settings(home), { int status, String words -> ends << [status, words] } as Recorder.Ended)
    }

    private static List<String> echo() {
        def java = Path.of(System.getProperty("java.home"), "bin", "java").toString()
        return [java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", System.getProperty("java.class.path"), "checks.Echo"]
    }

    void "a recorder is started once, told where QuPath is and ended by the end of its input"() {
        def one = recorder(echo())
        one.start(home.resolve("hook-1.json"), ["fail"])
        assert one.running
        one.start(home.resolve("hook-2.json"), [])
        def until = System.nanoTime() + 60_000_000_000L
        while (one.lastSaid("started") == null || !one.lastWords().contains("tracker"))
            assert System.nanoTime() < until
        assert one.lastSaid("started").given.endsWith("fail")
        assert one.lastSaid("started").given.startsWith("record --source")
        assert one.lastSaid("ended") == null
        assert ends.isEmpty()
        one.stop(30_000)
        def end = ends.poll(60, TimeUnit.SECONDS)
        assert end[0] == 3
        assert end[1] == "hook ${home.resolve('hook-1.json')}\nin ${home.toRealPath()}\nqpgaze: Plug in the tracker." as String
        assert !one.running
        assert ends.isEmpty()
        one.stop(0)
    }

    void "another verb is asked to its end"() {
        def answer = recorder(echo()).ask(["doctor", "--json"], 60)
        assert answer.status == 0
        assert answer.json().given == "doctor --json"
        // Not where QuPath was started: a folder qpgaze there would be run instead.
        assert answer.out.readLines().contains("in ${home.toRealPath()}" as String)
        assert answer.err.trim() == "qpgaze: Plug in the tracker."
        def failed = recorder(echo()).ask(["fail"], 60)
        assert failed.status == 3
        assert failed.words == "Plug in the tracker."
    }

    void "a program that is not there is said in words"() {
        for (command in [[], [home.resolve("nothing").toString()]]) {
            def one = recorder(command)
            assert one.ask(["doctor"], 5).words.contains("nstall the menu again")
            try {
                one.start(home, [])
                assert false
            } catch (IOException e) {
                assert e.message && !one.running
            }
        }
        assert ends.isEmpty()
    }
}
