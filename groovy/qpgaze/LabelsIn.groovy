package qpgaze

import org.slf4j.LoggerFactory

import java.nio.charset.StandardCharsets
import java.nio.file.Files
import java.nio.file.Path

/**
 * Puts a session's labels into the images of its project, and asks whether to save them.
 *
 * 'qpgaze annotate' makes them, by the code that it always uses: those of open images come back
 * through this hook, those of closed ones are written into the project's files. Its calls wait for
 * a program: never on the JavaFX thread.
 */
final class LabelsIn {

    private static final long WAIT_S = 1800
    private static final log = LoggerFactory.getLogger("qpgaze")

    private final Recorder recorder
    private final Images images
    private final Objects objects
    private final Overlays overlays

    LabelsIn(Recorder recorder, Images images, Objects objects, Overlays overlays) {
        this.recorder = recorder
        this.images = images
        this.objects = objects
        this.overlays = overlays
    }

    /** How often a reader pressed a key that labels. */
    static int labelKeys(Path session) {
        def events = session.resolve("events.jsonl")
        if (!Files.isRegularFile(events))
            return 0
        int found = 0
        Files.newBufferedReader(events, StandardCharsets.UTF_8).withCloseable { reader ->
            reader.eachLine { line ->
                if (line.contains('"label"'))
                    found += isLabel(line) ? 1 : 0
            }
        }
        return found
    }

    private static boolean isLabel(String line) {
        try {
            return Json.parse(line).kind == "label"
        } catch (WireFault e) {
            return false // its end was cut
        }
    }

    /** Put them in; `before` are words of how the session ended, shown with the outcome. */
    void put(Path session, Path project, String before, boolean putBack = false) {
        try {
            ask(session, project, before, putBack)
        } catch (IOException | RuntimeException e) {
            log.warn("qpgaze: labels", e)
            Say.trouble("${before}The labels were not put into the images: ${e.message ?: e}\n\n" +
                "They are kept in the session ${nameOf(session)}: choose 'Put labels into the image' to try again.")
        }
    }

    private void ask(Path session, Path project, String before, boolean putBack) {
        if (labelKeys(session) == 0) {
            Say.message("qpgaze", "${before}The session ${nameOf(session)} is kept. It has no labels.")
            return
        }
        def line = ["annotate", session.toString(), project.toString(), "--no-fixations",
                    "--no-save-open", "--json"]
        def answer = recorder.ask(putBack ? line + "--put-back" : line, WAIT_S)
        def report = answer.status == 0 ? answer.json() : null
        if (report == null) {
            failed(session, before, answer.words)
            return
        }
        Fx.call { images.pulse() }
        overlays.clearLabels()
        tell(session, project, before, new LabelReport(report, images.toWire(), images.savedHere))
    }

    private void failed(Path session, String before, String words) {
        def why = LabelReport.plain(words)
        if (LabelReport.isUnrecorded(words)) {
            overlays.clearLabels()
            Say.trouble("${before}The labels are in the images, but qpgaze could not note it.\n\n${why}\n\n" +
                "Once that is mended, choose 'Put labels into the image': it notes what is in, and offers to save it.")
        } else
            Say.trouble("${before}The labels were not put into the images.\n\n${why}\n\n" +
                "They are kept in the session ${nameOf(session)}: choose 'Put labels into the image' to try again.")
    }

    private void tell(Path session, Path project, String before, LabelReport report) {
        def text = [before + report.words(), report.reloading(), report.notes()].findAll { it }.join("\n\n")
        def unsaved = report.toSave()
        if (report.missing > 0 && report.fresh == 0L)
            askBack(session, project, text, report.missing)
        else if (unsaved)
            Say.ask("qpgaze", "${text}\n\nSave ${unsaved*.image.name.join(', ')} now? " +
                "Unsaved, QuPath asks again before it closes the image.", ["Save", "Not now"]) { chosen ->
                if (chosen == "Save")
                    WireServer.daemon("qpgaze-save") { save(unsaved) }.start()
            }
        else
            Say.message("qpgaze", text)
    }

    private void askBack(Path session, Path project, String text, long missing) {
        def one = missing == 1L
        def back = one ? "Put it back" : "Put them back"
        Say.ask("qpgaze", "${text}\n\n${missing} of the labels ${one ? 'was' : 'were'} in the images once and " +
            "${one ? 'is' : 'are'} gone since: deleted, or closed without saving.",
            [back, one ? "Leave it" : "Leave them"]) { chosen ->
            if (chosen == back)
                WireServer.daemon("qpgaze-labels") { put(session, project, "", true) }.start()
        }
    }

    private void save(List<Map> open) {
        for (one in open) {
            try {
                objects.save([image: one.key])
                Say.notice("${one.image.name} is saved.")
            } catch (WireFault e) {
                Say.trouble("${one.image.name} was not saved.\n\n${e.message}\n\nThe labels are still in the " +
                    "open image and in the session. Once that is mended, choose File > Save.")
            }
        }
        Fx.later("images") { images.pulse() }
    }

    private static String nameOf(Path session) {
        return "${session.getFileName()} in ${session.getParent()}"
    }
}
