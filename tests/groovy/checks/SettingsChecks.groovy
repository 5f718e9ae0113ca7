package checks

import qpgaze.Discovery
import qpgaze.Json
import qpgaze.Settings
import qpgaze.Troubles

import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.attribute.PosixFilePermissions

/** What the installation and the person chose, and the file by which Python finds this QuPath. */
class SettingsChecks {

    private final Path home = Files.createTempDirectory("qpgaze-check")

    private Settings of(String settings, String install = '{"version":"1.2","command":["py","-m","qpgaze"]}') {
        if (install != null)
            home.resolve("install.json").toFile().setText(install, "UTF-8")
        if (settings != null)
            home.resolve("settings.json").toFile().setText(settings, "UTF-8")
        return new Settings(home)
    }

    void "without a settings file all is as usual"() {
        def found = of(null)
        assert found.version == "1.2"
        assert found.command == ["py", "-m", "qpgaze"]
        assert found.keys == Settings.KEYS
        assert found.classes == null
        assert found.flag("show_gaze", false) == false && found.flag("show_labels", true)
    }

    void "every line can be chosen and a line of the wrong kind is passed over"() {
        def found = of('{"keys":{"hold":"h","undo":5},"classes":["A","B"],"source":"mouse","show_gaze":true,"show_labels":3}')
        assert found.keys == [hold: "H", toggle: "T", undo: "U"]
        assert found.classes == ["A", "B"]
        assert found.source == "mouse"
        assert found.flag("show_gaze", false)
        assert found.flag("show_labels", true)
        assert of('{"keys":[],"classes":"A"}').keys == Settings.KEYS
        assert of('{"classes":"A"}').classes == null
    }

    void "another Python is named to all that reach the tracker"() {
        def found = of('{"python":"C:\\\\Python310\\\\python.exe"}')
        assert found.pythonArguments == ["--python", "C:\\Python310\\python.exe"]
        assert found.recordArguments.join(" ").contains("--json --python C:\\Python310\\python.exe")
        assert of('{"python":""}').pythonArguments == [] && of(null).pythonArguments == []
    }

    void "a choice is kept beside what was there"() {
        of('{"keys":{"hold":"H"}}').keep("source", "mouse")
        def again = new Settings(home)
        assert again.source == "mouse" && again.keys.hold == "H"
        assert home.toFile().list().sort() == ["install.json", "settings.json"]
    }

    void "a file that is not understood is said and left as it is"() {
        for (text in ["{", "[]", "\"x\"", " "]) {
            def found = of(text)
            assert !found.readable && found.keys == Settings.KEYS
            assert Troubles.said().any { it.startsWith("settings.json") }
            found.keep("source", "mouse")
            assert found.source == "mouse"
            assert home.resolve("settings.json").toFile().getText("UTF-8") == text
        }
    }

    void "a file that a power cut emptied is none, and takes choices again"() {
        for (text in ["", "\u0000" * 40]) {
            def found = of(text)
            assert found.readable && found.keys == Settings.KEYS
            found.keep("source", "mouse")
            assert new Settings(home).source == "mouse"
        }
    }

    void "without a good file of the installation the hook starts and names no program"() {
        for (install in ["{", "", "[]"]) {
            def found = of("{}", install)
            assert found.command == [] && found.version == "" && found.readable
        }
    }

    void "choices of several threads are all kept"() {
        def found = of("{}")
        def threads = (1..8).collect { int i -> Thread.start { 20.times { found.keep("k${i}-${it}".toString(), it) } } }
        threads*.join()
        def kept = Json.parse(home.resolve("settings.json").toFile().getText("UTF-8"))
        assert (1..8).every { int i -> (0..<20).every { kept["k${i}-${it}".toString()] == it } }
    }

    void "the discovery file is private, whole and replaced"() {
        def place = home.resolve("deep/hooks")
        def said = [wire: "qpgaze", version: 1, port: 5, token: "t", pid: 7]
        def file = Discovery.write([place], 7, said)
        assert file == place.resolve("hook-7.json")
        assert Json.parse(Files.readAllBytes(file)) == [wire: "qpgaze", version: 1L, port: 5L, token: "t", pid: 7L]
        Discovery.write([place], 7, said + [port: 6])
        assert Json.parse(Files.readAllBytes(file)).port == 6L
        assert place.toFile().list() == ["hook-7.json"]
        if (Files.getFileStore(home).supportsFileAttributeView("posix")) {
            assert PosixFilePermissions.toString(Files.getPosixFilePermissions(file)) == "rw-------"
            assert PosixFilePermissions.toString(Files.getPosixFilePermissions(place)) == "rwx------"
        }
    }

    void "where one folder cannot be made the next is taken"() {
        def blocked = Files.createFile(home.resolve("file")).resolve("hooks")
        assert Discovery.write([blocked, home.resolve("b")], 9, [port: 1]) == home.resolve("b/hook-9.json")
        try {
            Discovery.write([blocked], 9, [port: 1])
            assert false
        } catch (IOException e) {
            assert e.message.contains("No discovery file")
        }
    }

    void "a token is long and new each time"() {
        def tokens = (1..50).collect { Discovery.newToken() } as Set
        assert tokens.size() == 50
        assert tokens.every { it.length() >= 43 && it ==~ /[\w-]+/ }
    }
}
