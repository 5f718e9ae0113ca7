package qpgaze

import javafx.stage.DirectoryChooser

import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths

/**
 * A gaze session from its start to its labels: starts the recorder, follows how it fares, ends it.
 *
 * Where the recorder is gone in the middle, a journal in the session's folder takes over.
 */
final class SessionRun implements Recorder.Ended, AutoCloseable {

    private static final long CONNECT_MS = 30_000
    /** A recorder that lost only its connection is back within a second. */
    private static final long BACK_MS = 3_000

    private final Hook hook
    private final Sessions sessions
    private final Recorder recorder
    private final LabelsIn labels
    private volatile Journal journal
    /** The project that was open at the start, the session that was recorded last. */
    private volatile Path project
    private volatile Path last
    private volatile boolean byUs = false
    /** It was stopped before it had begun. */
    private volatile boolean early = false
    /** Somebody chose Stop. */
    private volatile boolean stopped = false
    private volatile boolean closed = false

    SessionRun(Hook hook, Sessions sessions, Recorder recorder, LabelsIn labels) {
        this.hook = hook
        this.sessions = sessions
        this.recorder = recorder
        this.labels = labels
    }

    Journal getJournal() {
        return journal
    }

    /** Whether a key that is pressed now may still become a label. */
    boolean isKeyed() {
        return sessions.recording || (sessions.state == "lost" && !(byUs && !recorder.running))
    }

    // -- start, pause ----------------------------------------------------------------------------

    void start() {
        if (!sessions.idle)
            return
        if (recorder.running) {
            Say.notice("The recorder still closes the last session: try again in a moment.")
            return
        }
        if (hook.setup.busy) {
            Say.notice("The points are still shown on the eye tracker's monitor: look at them to the end, or end " +
                "them there with Esc.")
            return
        }
        project = Calls.projectFile(hook.qupath)
        if (project == null && !hook.settings.namesPlace()) {
            Say.trouble("Open a project first: the session is kept in its folder.")
            return
        }
        early = stopped = false
        sessions.starting()
        WireServer.daemon("qpgaze-start") { begin() }.start()
    }

    private void begin() {
        byUs = !hook.someoneWaits()
        if (!byUs)
            hook.control("start", [class: hook.keyLogic.current])
        else if (hook.settings.namesPlace())
            startRecorder([])
        else if (Elsewhere.takesSessions(project))
            startRecorder([project.toString()])
        else
            askElsewhere(Elsewhere.folderFor(project))
    }

    /** The project may only be read. */
    private void askElsewhere(Path folder) {
        Say.ask("qpgaze", "The session cannot be kept with the project: nothing can be written in " +
            "${project.parent}.\n\nIt can be kept in ${folder} instead. The labels go into the project later, once " +
            "it can be written: open it then and choose 'Put labels into the image'.",
            ["Keep it there", "Another folder ...", "Cancel"]) { chosen ->
            def named = chosen == "Keep it there" ? folder : chosen == "Another folder ..." ? chosenFolder() : null
            if (sessions.state != "starting") // stopped meanwhile
                return
            if (named == null) {
                sessions.failed()
                return
            }
            WireServer.daemon("qpgaze-start") { startRecorder([project.toString(), "--sessions", named.toString()]) }
                .start()
        }
    }

    private Path chosenFolder() {
        def chooser = new DirectoryChooser()
        chooser.setTitle("Where the session is kept")
        return chooser.showDialog(hook.qupath.getStage())?.toPath()
    }

    private void startRecorder(List<String> more) {
        try {
            recorder.start(hook.discoveryFile, more)
        } catch (IOException e) {
            sessions.failed()
            Say.trouble("The recorder does not start.\n\n${e.message}")
            return
        }
        if (!waitFor(CONNECT_MS) { sessions.state != "starting" || !recorder.running } && !closed) {
            def note = recorder.lastSaid("note")?.text ?: recorder.lastWords()
            Say.warning("The recorder runs, but has not begun yet." + (note ? " It says: ${note}" : ""))
        }
    }

    void pause() {
        hook.control(sessions.state == "paused" ? "resume" : "pause", [:])
    }

    // -- stop ------------------------------------------------------------------------------------

    void stop() {
        def state = sessions.state
        if (state == "lost") {
            sessions.stopping()
            WireServer.daemon("qpgaze-recover") { recover() }.start()
            return
        }
        boolean began = state in ["recording", "paused"]
        early = !began
        stopped = true
        sessions.stopping()
        hook.control("stop", [:])
        recorder.stop(began ? 30_000 : 1_000)
        if (!recorder.running && !began)
            sessions.failed()
    }

    /** The recorder is gone for good: close its session here. */
    private void recover() {
        endJournal()
        def folder = sessions.folder
        try {
            if (byUs && recorder.running)
                recorder.stop(15_000) // it lost us only: it closes the session itself
            else
                closeSession(Paths.get(folder))
        } finally {
            if (!recorder.running)
                sessions.failed()
        }
    }

    private void closeSession(Path folder) {
        def answer = recorder.ask(["session", "recover", folder.toString()], 600)
        if (answer.status == 0)
            putLabels(folder, "The recorder was gone; the session is closed now.\n\n")
        else
            notClosed(folder, answer.words)
    }

    /** Its labels can be had all the same. */
    private void notClosed(Path folder, String words) {
        last = folder
        Say.trouble("The session was not closed.\n\n${LabelReport.plain(words)}\n\nIt is kept in ${folder}. " +
            "Once that is mended, 'Put labels into the image' puts its labels in.")
    }

    @Override
    void ended(int status, String lastWords) {
        if (closed)
            return
        def said = recorder.lastSaid("ended")
        if (said == null && sessions.state in ["recording", "paused"]) // its connection ends any moment
            waitFor(BACK_MS) { sessions.state == "lost" }
        def state = sessions.state
        if (state == "lost") {
            sessions.refresh() // its keys are QuPath's again
            return
        }
        if (said == null) {
            def named = sessions.folder
            def folder = named == null ? null : Paths.get(named)
            sessions.failed()
            if (state == "stopping" && early)
                Say.notice("The recorder was stopped before it began.")
            else if (stopped && folder != null)
                notClosed(folder, lastWords ?: "The recorder said nothing.")
            else
                endedEarly(status, folder, lastWords)
            return
        }
        def asked = status == 0 && (stopped || said.reason == "QuPath's menu")
        def why = asked ? "" : "The recording ended by itself: ${(said.reason as String).replaceFirst(/\.$/, '')}.\n\n"
        putLabels(Paths.get(said.session as String), why)
    }

    private void endedEarly(int status, Path folder, String words) {
        last = folder ?: last
        Say.trouble("The recorder ended before the session did (status ${status}).\n\n" +
            (words ? LabelReport.plain(words) : "It said nothing.") + (folder == null ? "" :
            "\n\nThe session is kept in ${folder}: 'Put labels into the image' puts its labels in."))
    }

    private void putLabels(Path session, String before) {
        last = session
        def target = project ?: projectOf(session)
        if (target == null || !hook.settings.flag("put_labels", true)) {
            sessions.failed()
            Say.message("qpgaze", "${before}The session ${session.fileName} is kept in ${session.parent}.")
            return
        }
        sessions.labelling()
        try {
            labels.put(session, target, before)
        } finally {
            sessions.failed()
        }
    }

    /** From the menu: the running session, else the one that was recorded last. */
    void putLabelsNow() {
        def open = Calls.projectFile(hook.qupath)
        if (open == null) {
            Say.trouble("Open the project first that the labels are to go into.")
            return
        }
        // The sessions' folder may lie on a slow share: it is not read here.
        WireServer.daemon("qpgaze-labels") {
            def running = sessions.state in ["recording", "paused", "lost"] ? sessions.folder : null
            def session = running != null ? Paths.get(running) : isOf(open, last) ? last : newestOf(open)
            if (session == null) {
                Say.trouble("The project has no session yet.")
                return
            }
            Say.notice("The labels of ${session.fileName} are put into the images ...")
            labels.put(session, open, running == null ? "" : "The session goes on; these are its labels so far.\n\n")
        }.start()
    }

    /** Whether a session may belong to a project: not where another project's folder keeps it. */
    private static boolean isOf(Path project, Path session) {
        def its = session == null ? null : projectOf(session)
        return session != null && (its == null || Files.isSameFile(its.parent, project.parent))
    }

    /** The project whose folder keeps a session, null where it lies elsewhere. */
    private static Path projectOf(Path session) {
        def folder = session.parent?.parent?.parent
        if (folder == null || session.parent.fileName.toString() != "sessions")
            return null
        return Files.isRegularFile(folder.resolve("project.qpproj")) ? folder.resolve("project.qpproj") : null
    }

    /** Of a project that was read only, elsewhere. */
    private Path newestOf(Path project) {
        def chosen = hook.settings.sessions
        def folders = [Elsewhere.ownFolder(project), Elsewhere.folderFor(project)] +
            (chosen == null ? [] : [hook.settings.home.resolve(chosen)])
        return folders.findResult { Elsewhere.newestIn(it) }
    }

    // -- the recorder is gone --------------------------------------------------------------------

    /** A client's connection ended in the middle of the session. */
    void recorderGone(boolean saidBye) {
        def folder = sessions.folder
        if (sessions.state == "lost")
            beginJournal(folder, sessions.session)
        hook.watchAnew()
        boolean back = waitFor(BACK_MS) { sessions.state in ["recording", "paused"] }
        if (closed || back)
            return
        def words = byUs && !recorder.running ? recorder.lastWords() : ""
        Say.trouble("The recorder is gone in the middle of the session" + (saidBye ? "." : ": its program ended.") +
            (words ? "\n\n${words}" : "") + "\n\nWhat it wrote until then is kept" +
            (folder ? " in ${folder}" : "") + "." +
            (sessions.state != "lost" ? " Start a new gaze session to go on." :
            (journal == null ? "" : " QuPath goes on noting there what it shows.") +
            "\n\n'Stop' closes the session and puts its labels into the images."))
    }

    /** Wait until something is so, or the hook ends; false where it did not come to it. */
    private boolean waitFor(long ms, Closure<Boolean> so) {
        long until = System.nanoTime() + ms * 1_000_000L
        while (!closed && System.nanoTime() < until) {
            if (so.call())
                return true
            sleep(100)
        }
        return false
    }

    private void beginJournal(String folder, String session) {
        try {
            journal = new Journal(folder, session, { String why ->
                journal = null
                Say.warning("What QuPath shows can be noted no longer: ${why}")
            })
        } catch (IOException | WireFault e) {
            Troubles.once("viewer-hook.jsonl", "cannot be written: ${e.message}")
        }
    }

    /** A recorder took the session up again, or it ended. */
    void endJournal() {
        def was = journal
        journal = null
        if (was != null)
            WireServer.daemon("qpgaze-journal-end") { was.close() }.start()
    }

    @Override
    void close() {
        closed = true
        def was = journal
        journal = null
        was?.close()
        recorder.close()
    }
}
