package qpgaze

/** What 'qpgaze annotate --json' says of a session's labels, for the person in front of QuPath. */
final class LabelReport {

    /** Images, each with its entry and name, and way: 'window' or 'file'. */
    final List<Map> images
    private final Map report
    /** Open images of this QuPath as the wire names them. */
    private final List<Map> open
    /** Entries that this QuPath saved: it knows itself whether they are open. */
    private final Set<String> savedHere

    LabelReport(Map report, List<Map> open, Set<String> savedHere = []) {
        this.savedHere = savedHere
        this.report = report
        this.images = (report.images ?: []) as List<Map>
        this.open = open
    }

    /** What a program says, by the words of the menu and without options: there is no terminal here. */
    static String plain(String text) {
        return sentences(text) ?: byMenu(text)
    }

    /** Whether by these words the labels are in, and only the note of it could not be written. */
    static boolean isUnrecorded(String words) {
        return words.contains("objects themselves are in the project")
    }

    /** What a verb does stands in the menu under another name. */
    private static String byMenu(String text) {
        return text.replaceAll(/(?:,? or give --scale)/, "")
            .replaceAll(/'qpgaze validate-gaze --monitor ask'/, "'Monitor of the eye tracker'")
            .replaceAll(/Run ('qpgaze (?:validate-gaze|calibrate|doctor))/, 'Choose $1')
            .replaceAll(/run ('qpgaze (?:validate-gaze|calibrate|doctor))/, 'choose $1')
            .replaceAll(/'qpgaze validate-gaze[^']*'/, "'Measure accuracy'")
            .replaceAll(/'qpgaze calibrate[^']*'/, "'Calibrate the eye tracker'")
            .replaceAll(/'qpgaze doctor[^']*'/, "'Check set-up'")
    }

    private static String sentences(String text) {
        def lines = byMenu(text).readLines().collect { line ->
            def kept = line.split(/(?<=[.!?;])\s+/).findAll { !(it =~ /(^|[\s('"])--\w/) }
            return kept.join(" ").replaceFirst(/;$/, ".")
        }
        return lines.findAll { it.trim() }.join("\n")
    }

    /** How many labels are in now that were not before. */
    long getFresh() {
        return images.sum(0L) { count(it) } as long
    }

    /** How many were in once and are gone. */
    long getMissing() {
        return images.sum(0L) { ((it.missing ?: []) as List).size() as long } as long
    }

    private static long count(Map image) {
        return ((image.added ?: 0) as long) + ((image.put_back ?: 0) as long)
    }

    /** Open images that have the labels in their window and are not saved, those that got them before included. */
    List<Map> toSave() {
        return openOf(images.findAll { it.way == "window" }).findAll { it.changed }
    }

    /** Open images whose file got labels beneath QuPath: saving would write over them. */
    List<Map> toReload() {
        return openOf(images.findAll { count(it) > 0 && (it.way ?: "file") == "file" })
    }

    private List<Map> openOf(List<Map> reported) {
        def entries = reported*.entry as Set
        return open.findAll { entries.contains(it.image.entry_id) }
    }

    /** What a person should know; of open images only what is not said or asked here. */
    String notes() {
        def own = (toSave() + toReload()).collect { "Image ${it.image.entry_id} (".toString() }
        // That a session is not closed is said where it goes on, and of no use to know where it was cut.
        own << "The session was not closed"
        def others = ((report.notes ?: []) as List<String>).findAll { note -> !own.any { note.startsWith(it) } &&
            !(note.contains("another program saved") && savedHere.any { note.startsWith("Image ${it} (") }) }
        return others.collect { sentences(it) }.findAll { it }.join("\n")
    }

    /** What is in, and what to do. */
    String words() {
        if (fresh == 0L)
            return report.labels == 0 ? "The session gives no label." : "The labels of the session were put in before."
        def where = images.findAll { count(it) > 0 }*.name
        return (fresh == 1L ? "1 label is" : "${fresh} labels are") + " in ${where.take(5).join(', ')}" +
            (where.size() > 5 ? " and ${where.size() - 5} more images" : "") +
            " as 'proposed': " + (fresh == 1L ? "look at it, keep, redraw or delete it."
            : "look at them, keep, redraw or delete them.")
    }

    /** How to see what lies in the file of an open image; empty where there is nothing of the kind. */
    String reloading() {
        return toReload().collect { one ->
            def name = one.image.name
            "${name} is open, and its labels are in the project's file, not in the window. " +
                (one.changed ? "Saving it writes over them. To keep what you changed in it, save it, then " +
                "choose 'Put labels into the image' and put them back. Otherwise choose File > Reload data."
                : "Choose File > Reload data to see them; do not save it before.")
        }.join("\n\n")
    }
}
