package qpgaze

import groovy.transform.CompileStatic

import java.nio.charset.StandardCharsets
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardCopyOption

/**
 * What the installation left (install.json) and what the person chose (settings.json).
 *
 * Both lie in the hook's folder. A settings file that cannot be read is said and left as it is.
 */
@CompileStatic
final class Settings {

    static final Map<String, String> KEYS = [hold: "X", toggle: "T", undo: "U"]

    final Path home
    final Map<String, Object> install
    /** Kept from the JavaFX thread and from others. */
    private final Map<String, Object> chosen
    private final boolean readable

    Settings(Path home) {
        this.home = home
        Map<String, Object> left = understood("install.json", "Install the menu again")
        Map<String, Object> found = understood("settings.json", "the usual settings are used")
        this.install = left ?: [:]
        this.readable = found != null
        this.chosen = Collections.synchronizedMap(found ?: [:])
    }

    /** What a file of ours says, null where it is not understood. */
    private Map<String, Object> understood(String name, String instead) {
        try {
            return read(home.resolve(name))
        } catch (WireFault | IOException e) {
            Troubles.once(name, "is not understood (${e.message}); ${instead}")
            return null
        }
    }

    /** Whether settings.json could be read; if not, nothing that is chosen outlives QuPath. */
    boolean isReadable() {
        return readable
    }

    private static Map<String, Object> read(Path file) {
        if (!Files.isRegularFile(file))
            return [:]
        byte[] text = Files.readAllBytes(file)
        if (Arrays.equals(text, new byte[text.length])) // as a power cut leaves one that was written just then
            return [:]
        Object value = Json.parse(text)
        if (!(value instanceof Map))
            throw new WireFault("malformed", "${file.fileName} holds no JSON object.")
        return (Map<String, Object>) value
    }

    String getVersion() {
        return (String) (install.get("version") ?: "")
    }

    /** The qpgaze program with its first arguments; empty where the installation names none. */
    List<String> getCommand() {
        Object named = chosen.get("command") ?: install.get("command") ?: []
        return named instanceof List ? ((List) named).collect { String.valueOf(it) } : [String.valueOf(named)]
    }

    /** What follows the program to record; {hook} stands for the discovery file. */
    List<String> getRecordArguments() {
        Object named = chosen.get("record")
        if (named instanceof List)
            return ((List) named).collect { String.valueOf(it) }
        return ["record", "--source", source, "--views", "qupath", "--json"] + pythonArguments +
            (sessions == null ? [] : ["--sessions", sessions])
    }

    /** Which Python has the tracker's library, where that is not the one of qpgaze. */
    List<String> getPythonArguments() {
        Object named = chosen.get("python")
        return named instanceof String && named ? ["--python", (String) named] : []
    }

    /** Where gaze comes from, as qpgaze record --source names it. */
    String getSource() {
        return (String) (chosen.get("source") ?: install.get("source") ?: "tobii")
    }

    /** The names that JavaFX gives to the keys that hold, toggle and undo. */
    Map<String, String> getKeys() {
        Map<String, String> keys = new LinkedHashMap<>(KEYS)
        Object named = chosen.get("keys")
        if (named instanceof Map)
            for (String what : KEYS.keySet())
                if (((Map) named).get(what) instanceof String)
                    keys.put(what, ((String) ((Map) named).get(what)).toUpperCase(Locale.ROOT))
        return keys
    }

    /** Classes of the digits 1-9, null: the project's own in their order. */
    List<String> getClasses() {
        Object named = chosen.get("classes")
        return named instanceof List ? ((List) named).collect { String.valueOf(it) } : null
    }

    /** Whether the arguments to record say themselves where the session goes. */
    boolean namesPlace() {
        return chosen.get("record") instanceof List || sessions != null
    }

    /** Folder for sessions instead of the project's; null: the project's. */
    String getSessions() {
        return chosen.get("sessions") instanceof String ? (String) chosen.get("sessions") : null
    }

    boolean flag(String name, boolean usual) {
        Object named = chosen.get(name)
        return named instanceof Boolean ? (Boolean) named : usual
    }

    /** Keep a choice for the next start of QuPath. */
    synchronized void keep(String name, Object value) {
        chosen.put(name, value)
        if (!readable) // what a person wrote there is not thrown away
            return
        Path file = home.resolve("settings.json")
        Path part = home.resolve(".settings.json.part")
        try {
            Files.write(part, Json.text(new LinkedHashMap<String, Object>(chosen)).getBytes(StandardCharsets.UTF_8))
            Files.move(part, file, StandardCopyOption.REPLACE_EXISTING)
        } catch (IOException e) {
            Troubles.once("settings.json", "cannot be written: ${e.message}")
        }
    }
}
